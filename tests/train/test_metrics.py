"""Accuracy, confusion counts and evaluation against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.train import accuracy, confusion_matrix, evaluate


@pytest.mark.parametrize("shape", [(50, 4), (6, 4, 3, 2)])
def test_counts_agree_with_a_loop(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    scores = rng.standard_normal(shape)
    labels = rng.integers(-1, 4, shape[:1] + shape[2:])
    expected = np.zeros((4, 4), int)
    for index in np.ndindex(*labels.shape):
        if labels[index] >= 0:
            expected[labels[index], scores[(index[0], slice(None), *index[1:])].argmax()] += 1
    assert np.array_equal(confusion_matrix(tc.tensor(scores), labels), expected)
    assert accuracy(scores, tc.tensor(labels)) == expected.trace() / expected.sum()


def test_the_first_of_equal_scores_counts() -> None:
    assert accuracy([[1.0, 1.0]], [0]) == 1.0
    assert accuracy([[1.0, 1.0]], [1]) == 0.0


@pytest.mark.parametrize("shape", [(50, 7), (6, 7, 3, 2)])
@pytest.mark.parametrize("top", [1, 2, 5, 7, 9])
def test_the_label_among_the_highest_scores(
    shape: tuple[int, ...], top: int, rng: np.random.Generator
) -> None:
    scores = rng.integers(0, 5, shape).astype(np.uint8)  # with ties, of which the first counts
    labels = rng.integers(-1, 8, shape[:1] + shape[2:])  # 7 has no score: never right
    hits = []
    for index in np.ndindex(*labels.shape):
        if labels[index] >= 0:
            each = scores[(index[0], slice(None), *index[1:])].tolist()
            best = sorted(range(7), key=lambda c, each=each: (-each[c], c))[:top]
            hits.append(labels[index] in best)
    assert accuracy(scores, labels, top) == np.mean(hits)


@pytest.mark.parametrize("top", [0, 1.5, True, "5"])
def test_top_is_a_count(top: object) -> None:
    with pytest.raises(ArgumentError, match="accuracy: top="):
        accuracy([[1.0, 0.0]], [0], top)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix])
@pytest.mark.parametrize("labels", [[0], [[0, 1]], [0.0, 1.0], 1])
def test_labels_that_do_not_fit_are_refused(metric: object, labels: object) -> None:
    with pytest.raises(ShapeError, match=r"expected \(N, C, …\) and integers"):
        metric(np.zeros((2, 3)), labels)  # type: ignore[operator]


def test_labels_without_a_score_or_none_at_all_are_refused() -> None:
    with pytest.raises(ArgumentError, match="label 3, the scores are for classes 0 to 2"):
        confusion_matrix(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ArgumentError, match="none of 2 labels"):
        accuracy(np.zeros((2, 3)), [-100, -1])
    assert not confusion_matrix(np.zeros((2, 3)), [-1, -1]).any()


def test_evaluation_weighs_batches_by_their_labels(rng: np.random.Generator) -> None:
    scores, labels = rng.standard_normal((11, 3)), rng.integers(0, 3, 11)
    labels[4] = -100  # ignored by the loss, so it must not count as an example
    batches = [(scores[:8], labels[:8]), (scores[8:], labels[8:])]
    found = evaluate(tc.nn.Identity(), batches)
    whole = tc.functional.cross_entropy(scores, labels)
    assert found.loss == pytest.approx(float(np.asarray(whole)))
    assert found.accuracy == accuracy(scores, labels)


def test_evaluation_records_nothing_and_keeps_modes() -> None:
    recorded = []

    class Spy(tc.nn.Linear):
        def forward(self, x: object) -> tc.Tensor:
            out = super().forward(x)  # type: ignore[arg-type]
            recorded.append((out.requires_grad, self.training))
            return out

    model = Spy(2, 2)
    loss, share = evaluate(model, [(np.ones((3, 2), np.float32), np.zeros(3, int))])
    assert recorded == [(False, False)]
    assert model.training
    assert loss > 0
    assert share in (0.0, 1.0)


def test_evaluation_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="evaluate: list has no batch"):
        evaluate(tc.nn.Identity(), [])
