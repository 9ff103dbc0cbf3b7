"""A classifier with scikit-learn's protocol."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from .. import nn
from .._arguments import is_real, whole
from ..data import DataLoader
from ..errors import ArgumentError, MissingExtraError, ShapeError
from ..train import History, fit, predict
from ..train._scratch import seeded
from ..typing import Array, Shape
from ._network import (
    OWNER,
    Architecture,
    Solver,
    channel_statistics,
    image,
    input_shape,
    make_network,
    make_optimizer,
    standardized,
)

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError:
    raise MissingExtraError("scikit-learn", "sklearn", OWNER) from None

__all__ = ["ConvNetClassifier"]

_SEEDS = 2**31 - 1


class ConvNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A convolutional network as a scikit-learn estimator, for images and for plain features.

    ``X`` is (N, F), or images (N, C, H, W) or (N, H, W); ``y`` holds N labels of any kind. Images
    may also come flat, as scalers and searches want them: ``image_shape`` says what a row of
    F = C*H*W features is. Training computes in float32, ``predict`` and ``predict_proba`` in the
    dtype of ``X``: float64 where it is that, float32 for other numbers.

    Args:
        architecture: a layer pattern ("INPUT -> CONV -> RELU -> POOL -> FC"), a name of
            ``tc.models.model_names()``, an ``nn.Module``, which is copied with its weights, or a
            function ``(input_shape, classes)`` that returns one. By default two convolutions and
            a hidden layer of 128 units for images, one of 100 units for other features.
        image_shape: (C, H, W) or (H, W) of images that come flat.
        solver: "adam", "adamw", "rmsprop", "sgd" (with Nesterov momentum 0.9), or what makes an
            optimiser, called as ``solver(parameters, lr=…, weight_decay=…)``.
        learning_rate_init, weight_decay: of the solver.
        batch_size, shuffle: of the training data.
        max_iter: epochs at most.
        standardize: whether the inputs are brought to mean 0 and deviation 1, channel by channel
            (for tables feature by feature), as measured in ``fit`` or the first ``partial_fit``.
        random_state: seed or ``RandomState`` of all that is drawn. On one machine the same seed
            gives the same bits, as long as ``compiler.set_num_threads`` is not changed.
        tol, n_iter_no_change: training ends after so many epochs in which the training loss, with
            early stopping the validation accuracy, did not improve by more than ``tol``.
        early_stopping: whether to hold out part of the training data, stratified, and to end with
            the weights of the epoch that did best on it.
        validation_fraction: that part.
        warm_start: whether ``fit`` goes on with the weights that are there.
        verbose: whether to show a progress bar.

    Attributes:
        classes_: the labels, sorted: the columns of ``predict_proba``.
        model_: the trained ``nn.Module``, which takes standardised inputs (N, \\*input_shape_).
        input_shape_: of one example.
        mean_, std_: of the channels, what standardising takes out; 0 and 1 where it is off.
        history_: the ``tc.train.History`` of the last call.
        n_iter_: the epochs of the last call.
        loss_curve_: the training loss after each epoch since the weights were drawn.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    >>> from sklearn.datasets import load_digits
    >>> from tinygrad_cnn.sklearn import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = ConvNetClassifier(image_shape=(8, 8), early_stopping=True, random_state=0)
    >>> net.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.95
    True
    """

    def __init__(
        self,
        architecture: Architecture = None,
        *,
        image_shape: Sequence[int] | None = None,
        solver: Solver = "adam",
        learning_rate_init: float = 0.001,
        weight_decay: float = 0.0,
        batch_size: int = 64,
        max_iter: int = 200,
        shuffle: bool = True,
        standardize: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        verbose: bool = False,
    ) -> None:
        self.architecture = architecture
        self.image_shape = image_shape
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.standardize = standardize
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train until nothing improves any more, or for ``max_iter`` epochs.

        Warns:
            ConvergenceWarning: after ``max_iter`` epochs there was still an improvement.

        Raises:
            ArgumentError, ShapeError, ValueError: a setting or the data do not fit.
            NonFiniteError: the loss or a gradient is not finite.
        """
        with _unchanged_on_error(self):
            self._check_settings()
            anew = not (self.warm_start and hasattr(self, "model_"))
            x, labels = self._examples(X, y, anew, None)
            with seeded(self._random_state.randint(_SEEDS)):
                self._fit(x, labels, anew)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train for one epoch, from the weights and the optimiser that are there.

        Args:
            X, y: as for ``fit``.
            classes: all labels that may ever come; the first call needs them.

        Raises:
            ArgumentError, ShapeError, ValueError: as for ``fit``; early stopping is asked for,
                or the classes are missing or others than before.
            NonFiniteError: the loss or a gradient is not finite; the network keeps what it
                learned from the batches before.
        """
        with _unchanged_on_error(self):
            self._check_settings()
            if self.early_stopping:
                raise ArgumentError(
                    f"{OWNER}: partial_fit has no epochs to choose from: early_stopping=False"
                )
            anew = not hasattr(self, "model_")
            self._check_classes(classes, anew)
            x, labels = self._examples(X, y, anew, classes)
            with seeded(self._random_state.randint(_SEEDS)):
                if anew:
                    self._start(x)
                self._record(self._train(x, labels, epochs=1))
        return self

    def predict(self, X: Any) -> Array:
        """The label with the highest probability, of each example.

        Raises:
            NotFittedError: ``fit`` was not called.
            ValueError: ``X`` is not as it was in ``fit``.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes, (N, classes), in the order of ``classes_``.

        Raises:
            NotFittedError: ``fit`` was not called.
            ValueError: ``X`` is not as it was in ``fit``.
        """
        check_is_fitted(self, "model_")
        rows, examples = _rows(X)
        x = validate_data(self, rows, reset=False, dtype=[np.float32, np.float64])
        self._check_shape(examples)
        return predict(self.model_, self._inputs(x))

    def _check_settings(self) -> None:
        """Refuse numbers that nobody checks later under the name they have here."""
        for name in ("max_iter", "batch_size", "n_iter_no_change"):
            whole(OWNER, name, getattr(self, name))
        if not is_real(self.tol):
            raise ArgumentError(f"{OWNER}: tol={self.tol!r}, expected a number")
        fraction = self.validation_fraction
        if not is_real(fraction) or not 0 < fraction < 1:
            raise ArgumentError(
                f"{OWNER}: validation_fraction={fraction!r}, expected a number between 0 and 1"
            )

    def _check_classes(self, classes: Any, anew: bool) -> None:
        """Refuse that ``partial_fit`` is told too little, or something else than before."""
        if anew and classes is None:
            raise ArgumentError(
                f"{OWNER}: the first call of partial_fit needs classes, all labels that may come,"
                " such as np.unique(y)"
            )
        if not (anew or classes is None or np.array_equal(np.unique(classes), self.classes_)):
            raise ArgumentError(
                f"{OWNER}: classes={classes!r:.60}, in the first call they were {self.classes_}"
            )

    def _check_shape(self, examples: Shape) -> None:
        """Refuse images that have as many features as those before, but another shape."""
        if examples and image(examples[1:]) != self.input_shape_:
            raise ShapeError(
                f"{OWNER}: X of shape {examples}, it was fitted to examples of shape"
                f" {self.input_shape_}"
            )

    def _examples(self, X: Any, y: Any, anew: bool, classes: Any) -> tuple[Array, Array]:
        """Checked data: rows of float32 or float64 features, and the numbers of their classes."""
        rows, examples = _rows(X)
        x, y = validate_data(self, rows, y, reset=anew, dtype=[np.float32, np.float64])
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if anew:
            self.input_shape_ = input_shape(examples or x.shape, self.image_shape)
            self._labels = LabelEncoder().fit(y if classes is None else classes)
            self.classes_ = self._labels.classes_
            self._random_state = check_random_state(self.random_state)
        else:
            self._check_shape(examples)
        return x, self._labels.transform(y)

    def _fit(self, x: Array, labels: Array, anew: bool) -> None:
        """Train until nothing improves any more."""
        held_out = None
        if self.early_stopping:
            x, held_out_x, labels, held_out_labels = train_test_split(
                x,
                labels,
                test_size=self.validation_fraction,
                stratify=labels,
                random_state=self._random_state,
            )
        if anew:
            self._start(x)
        else:
            self._make_optimizer()
        if self.early_stopping:
            held_out = DataLoader((self._inputs(held_out_x), held_out_labels), batch_size=256)
        plateau = _Plateau(self.tol, self.n_iter_no_change)
        history = self._train(x, labels, self.max_iter, validation=held_out, callbacks=[plateau])
        self._record(history)
        if history.interrupted:
            warnings.warn(f"{OWNER}: training was interrupted", UserWarning, stacklevel=3)
        elif not plateau.reached:
            warnings.warn(
                f"{OWNER}: after max_iter={self.max_iter} epochs training still improves:"
                " raise max_iter or learning_rate_init",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _start(self, x: Array) -> None:
        """Draw the weights of a new network for these examples."""
        self.model_, self.input_shape_ = make_network(
            self.architecture, self.input_shape_, len(self.classes_)
        )
        if self.standardize:
            self.mean_, self.std_ = channel_statistics(x.reshape(len(x), *self.input_shape_))
        else:
            channels = self.input_shape_[0]
            self.mean_, self.std_ = np.zeros(channels), np.ones(channels)
        self.loss_curve_: list[float] = []
        self._make_optimizer()

    def _make_optimizer(self) -> None:
        self._optimizer = make_optimizer(
            self.solver, self.model_, self.learning_rate_init, self.weight_decay
        )

    def _train(self, x: Array, labels: Array, epochs: int, **options: Any) -> History:
        # In evaluation mode all the time but here, so that threads may predict side by side.
        self.model_.eval()
        data = DataLoader((self._inputs(x), labels), self.batch_size, self.shuffle)
        return fit(
            self.model_,
            data,
            epochs=epochs,
            optimizer=self._optimizer,
            progress=bool(self.verbose),
            **options,
        )

    def _record(self, history: History) -> None:
        self.history_, self.n_iter_ = history, len(history)
        self.loss_curve_ = [*self.loss_curve_, *(row.loss for row in history)]

    def _inputs(self, x: Array) -> Array:
        """What the network sees of rows of features."""
        return standardized(x.reshape(len(x), *self.input_shape_), self.mean_, self.std_)


class _Plateau:
    """A callback that ends a run after ``patience`` epochs without an improvement above ``tol``."""

    def __init__(self, tol: float, patience: int) -> None:
        self.tol, self.patience = tol, patience
        self._best, self._waited = -np.inf, 0

    @property
    def reached(self) -> bool:
        """Whether there were so many epochs."""
        return self._waited >= self.patience

    def __call__(self, history: History, model: nn.Module) -> bool:
        last = history[-1]
        score = -last.loss if last.validation_accuracy is None else last.validation_accuracy
        self._waited = 0 if score > self._best + self.tol else self._waited + 1
        self._best = max(self._best, score)
        return self.reached


def _rows(X: Any) -> tuple[Any, Shape]:
    """Images as rows of features, and the shape that they had; anything else as it is, and ()."""
    if (X if hasattr(X, "ndim") else np.asarray(X)).ndim <= 2:
        return X, ()
    images = np.asarray(X)
    return images.reshape(len(images), math.prod(images.shape[1:])), images.shape


@contextmanager
def _unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Give an estimator the attributes back that it had before, where the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
