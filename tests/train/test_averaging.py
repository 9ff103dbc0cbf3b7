"""Predictions averaged over views, against the same by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import DataLoader, FiveCrop, Mirrored, TenCrop
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_cnn.train import evaluate, predict


def _model() -> nn.Sequential:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, generator=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 4 * 4, 5, generator=rng),
    )


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((7, 3, 8, 9)).astype(np.float32)


def _softmax(scores: Any) -> Any:
    powers = np.exp(scores)
    return powers / powers.sum(1, keepdims=True)


def _scores(model: nn.Module, images: Any) -> list[Any]:
    """Of ten windows of 6x6, each cut out by hand."""
    model.eval()
    corners = [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]
    crops = [images[:, :, i : i + 6, j : j + 6] for i, j in corners]
    crops += [crop[..., ::-1] for crop in crops]
    scores = [model(tc.tensor(np.ascontiguousarray(crop))).numpy() for crop in crops]
    model.train()
    return scores


def test_ten_crops_are_averaged_as_probabilities_or_as_scores(images: Any) -> None:
    model = _model()
    scores = _scores(model, images)
    found = predict(model, images, views=TenCrop(6))
    np.testing.assert_allclose(found, np.mean(list(map(_softmax, scores)), axis=0), rtol=1e-5)
    found = predict(model, images, views=TenCrop(6), average="scores")
    np.testing.assert_allclose(found, np.mean(scores, axis=0), rtol=1e-5, atol=1e-6)
    found = predict(model, images, views=FiveCrop(6), average="scores")
    np.testing.assert_allclose(found, np.mean(scores[:5], axis=0), rtol=1e-5, atol=1e-6)


def test_without_views_it_is_the_softmax_of_the_model(images: Any) -> None:
    model = _model().eval()
    images = images[..., :6, :6]
    scores = model(tc.tensor(images)).numpy()
    np.testing.assert_allclose(predict(model, tc.tensor(images)), _softmax(scores), rtol=1e-5)
    np.testing.assert_array_equal(predict(model, images, average="scores"), scores)


def test_mirrored_views_make_mirror_images_equal(images: Any) -> None:
    images, model = images[..., :6, :6], _model()
    found = predict(model, images, views=Mirrored())
    again = predict(model, images[..., ::-1], views=Mirrored())
    np.testing.assert_allclose(found, again, rtol=1e-5)
    assert not np.allclose(predict(model, images), predict(model, images[..., ::-1]))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_the_batch_size_does_not_matter(images: Any, batch_size: int) -> None:
    found = predict(_model(), images, views=TenCrop(6), batch_size=batch_size)
    np.testing.assert_allclose(found, predict(_model(), images, views=TenCrop(6)), rtol=1e-5)
    assert found.dtype == np.float32


def test_nothing_is_recorded_and_modes_and_statistics_stay(images: Any) -> None:
    model = _model()
    model[4].eval()
    before = model.state_dict()
    predict(model, images, views=TenCrop(6))
    assert [module.training for module in model] == [True, True, True, True, False, True]
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_evaluate_takes_loss_and_accuracy_of_the_averages(images: Any) -> None:
    model, labels = _model(), np.arange(7) % 5
    data = DataLoader((images, labels), 3)
    p = predict(model, images, views=TenCrop(6))
    found = evaluate(model, data, views=TenCrop(6))
    assert found.accuracy == (p.argmax(1) == labels).mean()
    assert found.loss == pytest.approx(-np.log(p[np.arange(7), labels]).mean(), rel=1e-5)
    scores = predict(model, images, views=TenCrop(6), average="scores")
    found = evaluate(model, data, F.hinge_loss, views=TenCrop(6), average="scores")
    assert found.loss == pytest.approx(F.hinge_loss(tc.tensor(scores), labels).item(), rel=1e-5)


def test_a_class_that_no_view_believes_in_costs_a_finite_loss() -> None:
    data = [(np.array([[1000.0, -1000.0]]), np.array([1]))]
    found = evaluate(nn.Identity(), data, views=lambda x: (x, x))
    assert np.isfinite(found.loss)
    assert found.accuracy == 0


def test_a_model_that_is_no_function_of_images_alone_works_too() -> None:
    features = np.eye(4, dtype=np.float32)
    np.testing.assert_allclose(predict(nn.Identity(), features).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"model": F.relu}, ArgumentError, r"expected a model \(nn\.Module\), got function"),
        ({"average": "mean"}, ArgumentError, "average='mean'"),
        ({"views": TenCrop}, ArgumentError, "expected a function of images"),
        ({"views": 10}, ArgumentError, "views=10"),
        ({"batch_size": 0}, ArgumentError, "batch_size=0"),
        ({"x": np.zeros(5)}, ShapeError, r"images of shape \(5,\)"),
        ({"x": np.zeros((0, 3, 6, 6))}, ShapeError, r"\(0, 3, 6, 6\)"),
        ({"views": TenCrop(20)}, ShapeError, r"TenCrop: a window of \(20, 20\) in images of"),
        ({"x": np.zeros((3, 8, 9), np.float32)}, ShapeError, "TenCrop: images"),
        ({"views": lambda x: x}, DtypeError, "the views are a ndarray, expected a tuple"),
        ({"views": lambda x: ()}, DtypeError, "the views are a tuple"),
        ({"views": lambda x: (x[:2, :, :6, :6],)}, ShapeError, r"expected scores \(7, classes\)"),
        ({"model": nn.Identity()}, ShapeError, r"the model gave \(7, 3, 6, 6\)"),
    ],
)
def test_mistakes_are_refused(images: Any, arguments: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        predict(**{"model": _model(), "x": images, "views": TenCrop(6), **arguments})


def test_mistakes_in_evaluate_are_refused_under_its_name(images: Any) -> None:
    data = DataLoader((images, np.zeros(7, int)), 3)
    with pytest.raises(ArgumentError, match="evaluate: average='max'"):
        evaluate(_model(), data, views=TenCrop(6), average="max")
