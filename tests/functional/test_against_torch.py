"""Values and all gradients against PyTorch, in float64 to 1e-10, of first and second order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, normal
from oracle import close, compare

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

torch = pytest.importorskip("torch")
T = torch.nn.functional


CONVOLUTIONS = [
    # images, filters, stride, padding, dilation, groups
    ((2, 3, 5, 5), (4, 3, 3, 3), 1, 0, 1, 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1, 1),
    ((3, 2, 7, 4), (2, 2, 3, 2), (2, 1), (1, 0), 1, 1),
    ((2, 2, 6, 9), (3, 2, 2, 3), (3, 2), (0, 2), (2, 3), 1),
    ((2, 4, 5, 6), (6, 2, 3, 3), 2, 1, 1, 2),
    ((2, 3, 5, 7), (6, 1, 3, 2), 1, (1, 2), (2, 1), 3),
    ((1, 2, 3, 3), (2, 2, 5, 5), 1, 2, 1, 1),
    ((2, 1, 8, 8), (2, 1, 1, 1), 3, 0, 1, 1),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "filters", "stride", "padding", "dilation", "groups"), CONVOLUTIONS
)
def test_conv2d(
    shape: Any, filters: Any, stride: Any, padding: Any, dilation: Any, groups: int, layout: Any
) -> None:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(
        lambda x, w, b: F.conv2d(x, w, b, **options),
        lambda x, w, b: T.conv2d(x, w, b, **options),
        layout(normal(*shape)), layout(normal(*filters)), normal(filters[0]),
    )  # fmt: skip
    compare(
        lambda x, w: F.conv2d(x, w, **options),
        lambda x, w: T.conv2d(x, w, **options),
        layout(normal(*shape)), layout(normal(*filters)), second_order=False,
    )  # fmt: skip


_GRID = itertools.product((4, 5), (1, 2, 3), (1, 2), (0, 1), (1, 2))


@pytest.mark.parametrize("sizes", [s for s in _GRID if s[4] * (s[1] - 1) < s[0] + 2 * s[3]])
def test_conv2d_grid(sizes: tuple[int, ...]) -> None:
    size, kernel, stride, padding, dilation = sizes
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    compare(
        lambda x, w, b: F.conv2d(x, w, b, **options),
        lambda x, w, b: T.conv2d(x, w, b, **options),
        normal(2, 2, size, size + 1), normal(3, 2, kernel, kernel), normal(3), second_order=False,
    )  # fmt: skip


POOLS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3)},
    {"kernel_size": 3, "stride": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 4, "stride": 1, "padding": 2},
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("values", ["normal", "ties"])
@pytest.mark.parametrize("options", [*POOLS, {"kernel_size": 2, "stride": 1, "dilation": 2}])
def test_max_pool2d(options: dict[str, Any], values: str, layout: Any) -> None:
    x = normal(2, 3, 5, 6)
    x = np.round(x) if values == "ties" else x
    compare(
        lambda x: F.max_pool2d(x, **options) ** 2,
        lambda x: T.max_pool2d(x, **options) ** 2,
        layout(x),
    )


def test_max_pool2d_of_nan_and_infinities() -> None:
    x = normal(1, 1, 6, 6)
    x[0, 0, 1, 1], x[0, 0, 4, 4], x[0, 0, 0, 5] = np.nan, -np.inf, np.inf
    compare(lambda x: F.max_pool2d(x, 2), lambda x: T.max_pool2d(x, 2), x, second_order=False)
    negative = np.full((1, 1, 2, 2), -np.inf)
    close(F.max_pool2d(negative, 2, padding=1), T.max_pool2d(torch.tensor(negative), 2, padding=1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("options", POOLS)
def test_avg_pool2d(options: dict[str, Any], count_include_pad: bool, layout: Any) -> None:
    options = {**options, "count_include_pad": count_include_pad}
    compare(
        lambda x: F.avg_pool2d(x, **options) ** 2,
        lambda x: T.avg_pool2d(x, **options) ** 2,
        layout(normal(2, 3, 5, 6)),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (3, 2, 4, 5), (2, 2, 2, 2, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape: tuple[int, ...], training: bool, layout: Any) -> None:
    channels = shape[1]
    mean, var = normal(channels), normal(channels) ** 2 + 0.5
    ours, theirs = (tc.tensor(mean), tc.tensor(var)), (torch.tensor(mean), torch.tensor(var))
    compare(
        lambda x, w, b: F.batch_norm(x, *ours, w, b, training, 0.3, 1e-3),
        lambda x, w, b: T.batch_norm(x, *theirs, w, b, training, 0.3, 1e-3),
        layout(normal(*shape)), normal(channels, seed=3), normal(channels, seed=4),
    )  # fmt: skip
    if training:  # compare calls ours twice: the running statistics move once more
        T.batch_norm(torch.tensor(normal(*shape)), *theirs, None, None, True, 0.3, 1e-3)
    for running, expected in zip(ours, theirs, strict=True):
        close(running, expected)
    compare(
        lambda x: F.batch_norm(x, *ours, training=training),
        lambda x: T.batch_norm(x, *theirs, training=training),
        normal(*shape), second_order=False,
    )  # fmt: skip


CLASSES, WEIGHTS = 4, np.array([0.5, 1.0, 2.0, 0.25])
SCORES = {"(N, C)": (5, CLASSES), "(C,)": (CLASSES,), "(N, C, H, W)": (2, CLASSES, 2, 3)}
LOSS_GRID = [*itertools.product(("mean", "sum", "none"), (None, WEIGHTS), SCORES.values())]


def labels_for(shape: tuple[int, ...]) -> np.ndarray:
    without_classes = shape[:1] + shape[2:] if len(shape) > 1 else ()
    return np.asarray(np.random.default_rng(0).integers(0, CLASSES, without_classes))


def tensor_or_none(weight: np.ndarray | None) -> Any:
    return None if weight is None else torch.tensor(weight)


@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("reduction", "weight", "shape"), LOSS_GRID)
def test_cross_entropy(
    reduction: str, weight: Any, shape: Any, smoothing: float, ignore_index: int
) -> None:
    labels = labels_for(shape)
    if (labels == ignore_index).all():
        labels = np.zeros_like(labels)
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore_index}
    compare(
        lambda x: F.cross_entropy(x, labels, weight, **options),
        lambda x: T.cross_entropy(x, torch.tensor(labels), tensor_or_none(weight), **options),
        normal(*shape) * 3,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("reduction", "weight", "shape"), LOSS_GRID)
def test_cross_entropy_with_probabilities(
    reduction: str, weight: Any, shape: Any, smoothing: float
) -> None:
    options = {"reduction": reduction, "label_smoothing": smoothing}
    compare(
        lambda x, y: F.cross_entropy(x, y, weight, **options),
        lambda x, y: T.cross_entropy(x, y, tensor_or_none(weight), **options),
        normal(*shape), np.abs(normal(*shape, seed=5)),
    )  # fmt: skip


@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize(("reduction", "weight", "shape"), LOSS_GRID)
def test_nll_loss(reduction: str, weight: Any, shape: Any, ignore_index: int) -> None:
    labels = labels_for(shape)
    if (labels == ignore_index).all():
        labels = np.zeros_like(labels)
    options = {"reduction": reduction, "ignore_index": ignore_index}
    compare(
        lambda x: F.nll_loss(x, labels, weight, **options),
        lambda x: T.nll_loss(x, torch.tensor(labels), tensor_or_none(weight), **options),
        normal(*shape),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_and_hinge_loss(reduction: str) -> None:
    compare(
        lambda x, y: F.mse_loss(x, y, reduction),
        lambda x, y: T.mse_loss(x, y, reduction=reduction),
        normal(3, 4), normal(3, 4, seed=1),
    )  # fmt: skip
    labels = np.array([2, 0, 3])
    for margin in (1.0, 0.3):
        compare(
            lambda x, m=margin: F.hinge_loss(x, labels, m, reduction),
            lambda x, m=margin: 4 * T.multi_margin_loss(
                x, torch.tensor(labels), margin=m, reduction=reduction
            ),
            normal(3, 4), second_order=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (F.relu, T.relu),
        (F.leaky_relu, T.leaky_relu),
        (lambda x: F.leaky_relu(x, 0.2), lambda x: T.leaky_relu(x, 0.2)),
        (F.sigmoid, torch.sigmoid),
        (F.tanh, torch.tanh),
        (F.gelu, T.gelu),
        (lambda x: F.gelu(x, "tanh"), lambda x: T.gelu(x, approximate="tanh")),
        (F.softmax, lambda x: T.softmax(x, -1)),
        (lambda x: F.softmax(x, 0), lambda x: T.softmax(x, 0)),
        (lambda x: F.log_softmax(x, 1), lambda x: T.log_softmax(x, 1)),
        (lambda x: tc.logsumexp(x, (0, 2)), lambda x: torch.logsumexp(x, (0, 2))),
        (lambda x: tc.std(x, 1, ddof=1), lambda x: torch.std(x, 1)),
        (lambda x: tc.var(x, (0, 2), keepdims=True), lambda x: torch.var(x, (0, 2), False, True)),
        (tc.norm, torch.linalg.vector_norm),
        (lambda x: tc.norm(x, 1, ord=3), lambda x: torch.linalg.vector_norm(x, 3, 1)),
        (lambda x: tc.norm(x, (0, 2), ord=1), lambda x: torch.linalg.vector_norm(x, 1, (0, 2))),
        (lambda x: tc.cumsum(x, 1) ** 2, lambda x: torch.cumsum(x, 1) ** 2),
        (lambda x: tc.prod(x, 1), lambda x: torch.prod(x, 1)),
        (tc.erf, torch.erf),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_functions(ours: Any, theirs: Any, layout: Any) -> None:
    compare(ours, theirs, layout(normal(3, 4, 2)))
    compare(ours, theirs, layout(normal(3, 4, 2) * 5))


@pytest.mark.parametrize("function", [F.relu, F.leaky_relu, tc.abs])
def test_the_derivative_at_zero_is_torchs(function: Any) -> None:
    theirs = {F.relu: T.relu, F.leaky_relu: T.leaky_relu, tc.abs: torch.abs}[function]
    compare(function, theirs, np.array([0.0, -0.0, 1.0]), second_order=False)


def test_a_network() -> None:
    def net(f: Any, x: Any, w1: Any, w2: Any, labels: Any) -> Any:
        hidden = f.max_pool2d(f.relu(f.conv2d(x, w1, stride=1, padding=1)), 2)
        pooled = f.avg_pool2d(hidden, 2, 1)
        return f.cross_entropy(f.linear(pooled.reshape(3, -1), w2), labels)

    labels = np.array([1, 0, 2])
    compare(
        lambda *a: net(F, *a, labels), lambda *a: net(T, *a, torch.tensor(labels)),
        normal(3, 2, 6, 6), normal(4, 2, 3, 3), normal(3, 16),
    )  # fmt: skip
