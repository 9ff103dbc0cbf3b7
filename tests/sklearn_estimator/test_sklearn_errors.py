"""What ConvNetClassifier refuses: in words, and before anything is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra sklearn")

from sklearn.exceptions import NotFittedError

from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, NonFiniteError, PatternError, ShapeError
from tinygrad_cnn.sklearn import ConvNetClassifier

IMAGES = np.random.default_rng(0).normal(size=(24, 1, 8, 8))
ROWS, LABELS = IMAGES.reshape(24, 64), np.arange(24) % 3
QUICK: dict[str, Any] = {"max_iter": 2, "n_iter_no_change": 1, "tol": 10.0}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"image_shape": (3, 8, 8)}, ShapeError, "192 features"),
        ({"image_shape": "8x8"}, ArgumentError, "image_shape='8x8'"),
        ({"image_shape": (8, -8)}, ArgumentError, "image_shape"),
        ({"image_shape": (10**9, 10**9)}, ShapeError, "does not hold images"),
        ({"architecture": "lenet"}, ArgumentError, "no model is called 'lenet'"),
        ({"architecture": "lenet5", "image_shape": (4, 16)}, ShapeError, "square images"),
        ({"architecture": "INPUT -> CONVX -> FC"}, PatternError, "did you mean CONV"),
        ({"architecture": "INPUT -> FC-7"}, PatternError, "classes=3"),
        ({"architecture": nn.Linear(64, 7)}, ShapeError, "gives 7 scores .* 3 classes"),
        ({"architecture": nn.Linear(65, 3)}, ShapeError, "65"),
        ({"architecture": 5}, ArgumentError, "architecture=5"),
        ({"architecture": lambda shape, classes: None}, ArgumentError, "returns one"),
        ({"solver": "adma"}, ArgumentError, "adam, adamw, rmsprop, sgd"),
        ({"solver": lambda parameters, lr, weight_decay: None}, ArgumentError, "solver"),
        ({"learning_rate_init": -1.0}, ArgumentError, "lr=-1.0"),
        ({"weight_decay": "much"}, ArgumentError, "weight_decay='much'"),
        ({"batch_size": 0}, ArgumentError, "batch_size=0"),
        ({"max_iter": 0}, ArgumentError, "max_iter=0"),
        ({"n_iter_no_change": 1.5}, ArgumentError, "n_iter_no_change"),
        ({"tol": "small"}, ArgumentError, "tol='small'"),
        ({"validation_fraction": 1.0}, ArgumentError, "validation_fraction=1.0"),
        ({"validation_fraction": 0.01, "early_stopping": True}, ValueError, "test_size"),
        ({"random_state": "zero"}, ValueError, "zero"),
    ],
)
def test_settings_that_do_not_fit(settings: Any, error: type[Exception], message: str) -> None:
    net = ConvNetClassifier(**{**QUICK, **settings})
    before = dict(vars(net))
    with pytest.raises(error, match=message):
        net.fit(ROWS, LABELS)
    assert vars(net) == before


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((24, 32, 32, 3)), r"channels last.*transpose\(0, 3, 1, 2\)"),
        (np.zeros((24, 1, 1, 8, 8)), r"expected features \(N, F\)"),
        (np.full((24, 4), 1e300), "too far to standardize"),
        (np.full((24, 4), np.nan), "NaN"),
        (np.zeros((24, 1, 0, 8)), "0 feature"),
        (np.zeros((23, 4)), "inconsistent numbers of samples"),
        (np.zeros((24, 4), complex), "Complex data not supported"),
    ],
)
def test_data_that_do_not_fit(images: Any, message: str) -> None:
    net = ConvNetClassifier(**QUICK)
    before = dict(vars(net))
    with pytest.raises(ValueError, match=message):
        net.fit(images, LABELS)
    assert vars(net) == before


def test_images_of_three_columns_are_no_mistake_if_their_shape_is_given() -> None:
    net = ConvNetClassifier(image_shape=(8, 8, 3), **QUICK)
    assert net.fit(np.zeros((24, 8, 8, 3)), LABELS).input_shape_ == (8, 8, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 0.5, "Unknown label type"),
        (np.eye(3)[LABELS], "1d array"),
        (None, "requires y to be passed"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvNetClassifier(**QUICK).fit(ROWS, labels)


def test_a_call_that_fails_leaves_what_was_learned() -> None:
    net = ConvNetClassifier(image_shape=(8, 8), random_state=0, **QUICK).fit(IMAGES, LABELS)
    before, expected = dict(vars(net)), net.predict_proba(IMAGES)
    with pytest.raises(ValueError, match="Unknown label type"):
        net.fit(np.zeros((24, 9)), LABELS + 0.5)
    with pytest.raises(ShapeError, match="does not hold"):
        net.fit(np.zeros((24, 9)), LABELS)
    net.set_params(learning_rate_init=1e30, max_iter=9, n_iter_no_change=9)
    with pytest.raises(NonFiniteError, match="epoch"):
        net.fit(IMAGES, LABELS)
    net.set_params(learning_rate_init=0.001, max_iter=2, n_iter_no_change=1)
    assert vars(net) == before
    assert np.array_equal(net.predict_proba(IMAGES), expected)


def test_predictions_for_something_else() -> None:
    net = ConvNetClassifier(**QUICK)
    with pytest.raises(NotFittedError):
        net.predict(IMAGES)
    net.fit(IMAGES, LABELS)
    with pytest.raises(ShapeError, match=r"fitted to examples of shape \(1, 8, 8\)"):
        net.predict(np.zeros((2, 1, 4, 16)))
    with pytest.raises(ValueError, match="81 features, but ConvNetClassifier is expecting 64"):
        net.predict(np.zeros((2, 1, 9, 9)))


def test_partial_fit_must_know_the_classes() -> None:
    net = ConvNetClassifier(**QUICK)
    with pytest.raises(ArgumentError, match="needs classes"):
        net.partial_fit(ROWS, LABELS)
    with pytest.raises(ArgumentError, match="early_stopping=False"):
        ConvNetClassifier(early_stopping=True).partial_fit(ROWS, LABELS, classes=range(3))
    net.partial_fit(ROWS, LABELS, classes=range(3))
    with pytest.raises(ArgumentError, match="in the first call they were"):
        net.partial_fit(ROWS, LABELS, classes=range(4))
    with pytest.raises(ValueError, match="previously unseen labels"):
        net.partial_fit(ROWS, LABELS + 1)
