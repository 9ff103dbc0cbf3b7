"""Training: the fit loop, its history, evaluation and metrics.

>>> import tinygrad_cnn as tc
>>> from tinygrad_cnn.data import DataLoader, Digits
>>> model = tc.models.DigitsNet(generator=tc.manual_seed(0))
>>> train = DataLoader(Digits("train"), batch_size=32, shuffle=True, seed=0)
>>> test = DataLoader(Digits("test"), batch_size=256)
>>> adam = tc.optim.Adam(model.parameters(), lr=0.01)
>>> history = tc.train.fit(model, train, epochs=3, validation=test, optimizer=adam)
>>> history.best.validation_accuracy > 0.9
True
"""

from __future__ import annotations

from .averaging import predict
from .callbacks import Callback, EarlyStopping
from .checkpoint import Checkpoints, read_checkpoint
from .evaluation import Batches, Evaluation, Loss, evaluate
from .history import Epoch, History
from .loop import fit
from .lr_range import LRRange, lr_range_test
from .metrics import accuracy, confusion_matrix
from .sanity import sanity_check

__all__ = [
    "Batches",
    "Callback",
    "Checkpoints",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "History",
    "LRRange",
    "Loss",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "fit",
    "lr_range_test",
    "predict",
    "read_checkpoint",
    "sanity_check",
]
