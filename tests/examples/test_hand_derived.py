"""The hand-derived layers against published values, central differences and autograd."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import hand_derived as hand
import numpy as np
import pytest
from compare_hand_derived import Pair, largest_error, main, make_pairs
from hand_derived.windows import pad_images

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

each_pair = pytest.mark.parametrize("pair", make_pairs(), ids=lambda pair: pair.name)
geometries = [(s, p) for s in (1, 2, 3) for p in (0, 1, 2)]


@pytest.mark.parametrize(
    ("case", "forward", "options"),
    [
        ("affine_forward", hand.affine_forward, ()),
        ("relu_forward", hand.relu_forward, ()),
        ("conv_forward", hand.conv_loops_forward, ("stride", "pad")),
        ("conv_forward", hand.conv_im2col_forward, ("stride", "pad")),
        ("max_pool_forward", hand.max_pool_forward, ("pool", "stride")),
    ],
)
def test_forward_gives_the_published_values(
    case: str, forward: Any, options: tuple[str, ...], shared: Path
) -> None:
    published = json.loads((shared / "fixtures" / "cs231n.json").read_text())[case]
    ranges = (published[name] for name in ("x", "w", "b") if name in published)
    inputs = [np.linspace(a, b, np.prod(shape)).reshape(shape) for _, a, b, shape in ranges]
    out, _ = forward(*inputs, *(published[name] for name in options))
    np.testing.assert_allclose(out, published["out"], rtol=0, atol=1e-8)


@each_pair
def test_backward_agrees_with_central_differences(pair: Pair) -> None:
    differences = pair.by_differences(lambda *inputs: pair.forward(*inputs)[0])
    assert largest_error(pair.by_hand(), differences) < 1e-6


@each_pair
def test_forward_and_backward_agree_with_autograd(pair: Pair) -> None:
    out, _ = pair.forward(*pair.inputs)
    np.testing.assert_allclose(np.asarray(pair.layer(*pair.inputs)), out, rtol=1e-12, atol=1e-12)
    assert largest_error(pair.by_autograd(), pair.by_hand()) < 1e-12


def test_script_prints_a_line_for_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    table = capsys.readouterr().out
    assert all(table.count(f"\n{pair.name} ") == 1 for pair in make_pairs())


@pytest.mark.parametrize(("stride", "pad"), geometries)
def test_im2col_equals_loops(stride: int, pad: int, rng: np.random.Generator) -> None:
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 3, 6, 7), (4, 3, 3, 2), 4))
    loops, loops_cache = hand.conv_loops_forward(x, w, b, stride, pad)
    columns, columns_cache = hand.conv_im2col_forward(x, w, b, stride, pad)
    np.testing.assert_allclose(columns, loops, atol=1e-12)
    dout = rng.standard_normal(loops.shape)
    by_loops = hand.conv_loops_backward(dout, loops_cache)
    assert largest_error(by_loops, hand.conv_im2col_backward(dout, columns_cache)) < 1e-12


@pytest.mark.parametrize(("stride", "pad"), geometries)
def test_max_pool_routes_by_first_winner(stride: int, pad: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, 3, (2, 2, 6, 7)).astype(float)  # ties in nearly every window
    out, cache = hand.max_pool_forward(x, 3, stride, pad)
    dout = rng.standard_normal(out.shape)
    padded = pad_images(x, pad, -np.inf)
    expected = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(out.shape):
        window = np.s_[n, c, i * stride : i * stride + 3, j * stride : j * stride + 3]
        place = np.unravel_index(padded[window].argmax(), (3, 3))
        assert out[n, c, i, j] == padded[window][place]
        expected[window][place] += dout[n, c, i, j]
    inside = np.s_[:, :, pad : pad + 6, pad : pad + 7]
    np.testing.assert_allclose(hand.max_pool_backward(dout, cache), expected[inside], atol=1e-12)


def test_kinks_take_the_slope_zero() -> None:
    _, cache = hand.relu_forward(np.array([0.0]))
    assert hand.relu_backward(np.array([1.0]), cache) == 0
    _, dscores = hand.svm_loss(np.array([[1.0, 0.0]]), np.array([0]), margin=1.0)
    np.testing.assert_array_equal(dscores, 0)


def test_softmax_loss_stands_extreme_scores() -> None:
    loss, dscores = hand.softmax_loss(np.array([[1000.0, -1000.0]]), np.array([1]))
    assert loss == 2000
    np.testing.assert_array_equal(dscores, [[1, -1]])


def test_running_statistics_move_as_those_of_the_package(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 3, 5, 2))
    mean, var = tc.zeros(3, dtype=np.float64), tc.ones(3, dtype=np.float64)
    expected = hand.running_statistics(x, np.zeros(3), np.ones(3), momentum=0.3)
    F.batch_norm(x, mean, var, training=True, momentum=0.3)
    np.testing.assert_allclose([mean.numpy(), var.numpy()], expected, rtol=1e-12)


def test_dropout_keeps_the_mean_and_the_stated_share(rng: np.random.Generator) -> None:
    mask = hand.dropout_mask((100_000,), 0.4, rng)
    np.testing.assert_array_equal(np.unique(mask), [0, 1 / 0.6])
    assert (mask == 0).mean() == pytest.approx(0.4, abs=0.01)


def test_windows_that_do_not_fit_are_refused() -> None:
    x = np.ones((1, 1, 3, 3))
    with pytest.raises(ValueError, match="window of 4 does not fit 3"):
        hand.conv_loops_forward(x, np.ones((1, 1, 4, 4)), np.ones(1))
    with pytest.raises(ValueError, match="no maximum"):
        hand.max_pool_forward(x, 2, 1, pad=2)


def test_nothing_but_numpy_is_imported() -> None:
    imported = set()
    for path in Path(hand.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == {"numpy"}
