"""Training: the fit loop, its history, evaluation and metrics.

>>> import tinygrad_cnn as tc
>>> from tinygrad_cnn.data import DataLoader, Digits
>>> model = tc.models.DigitsNet(generator=tc.manual_seed(0))
>>> train = DataLoader(Digits("train"), batch_size=32, shuffle=True, seed=0)
>>> test = DataLoader(Digits("test"), batch_size=256)
>>> history = tc.train.fit(model, train, epochs=1, validation=test)
>>> history.best.validation_accuracy > 0.8
True
"""

from __future__ import annotations

from .callbacks import Callback, EarlyStopping
from .evaluation import Evaluation, evaluate
from .history import Epoch, History
from .loop import fit
from .metrics import accuracy, confusion_matrix

__all__ = [
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "History",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "fit",
]
