"""Each mistake of the catalogue gives the gradient that a hand with this mistake would get."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.check._edits.catalogue import edited_gradients, edits
from tinygrad_cnn.check._trace import Trace

normal = np.random.default_rng(3).standard_normal
LABELS = np.array([1, 0, 3])


def traced(f: Any, *inputs: Any) -> Trace:
    """A recording with an upstream gradient of both signs."""
    shape = Trace(f, inputs).output.shape
    return Trace(f, inputs, np.random.default_rng(4).standard_normal(shape))


def found(trace: Trace, cause: str, *words: str) -> list[Any]:
    """The mistakes of a cause whose description has these words."""
    return [
        edit
        for edit in edits(trace)
        if edit.cause == cause and all(word in edit.what for word in words)
    ]


def broken(trace: Trace, cause: str, *words: str) -> list[Any]:
    """The gradients with the only such mistake."""
    [edit] = found(trace, cause, *words)
    return edited_gradients(trace, [edit])


# -- elementwise -------------------------------------------------------------------------------

X, Y, G = normal((3, 4)), normal((3, 4)), np.random.default_rng(4).standard_normal((3, 4))
POSITIVE = np.abs(X) + 0.5


@pytest.mark.parametrize(
    ("f", "x", "cause", "words", "expected"),
    [
        (F.relu, X, "missing_mask", "", G),
        (F.relu, X, "wrong_mask", "inverted", G * (X <= 0)),
        (F.relu, X, "wrong_mask", "upstream", G * (G > 0)),
        (F.leaky_relu, X, "missing_mask", "operand 3", G * (X > 0) + 0.01 * G),
        (lambda x: tc.clip(x, -0.5, 0.5), X, "missing_mask", "", G),
        (lambda x: tc.clip(x, -0.5, 0.5), X, "wrong_mask", "lower", G * (X >= -0.5)),
        (lambda x: tc.clip(x, -0.5, 0.5), X, "wrong_mask", "upper", G * (X <= 0.5)),
        (tc.abs, X, "missing_mask", "", G),
        (tc.tanh, X, "wrong_saved_value", "input is", G * (1 - X**2)),
        (tc.tanh, X, "wrong_saved_value", "own", G * (1 - np.tanh(np.tanh(X)) ** 2)),
        (tc.sigmoid, X, "wrong_saved_value", "input is", G * X * (1 - X)),
        (tc.exp, X, "wrong_saved_value", "input is", G * X),
        (tc.log, POSITIVE, "wrong_saved_value", "", G / np.log(POSITIVE)),
        (tc.sqrt, POSITIVE, "wrong_saved_value", "input is", G / (2 * POSITIVE)),
        (tc.sqrt, POSITIVE, "scale", "", G / np.sqrt(POSITIVE)),
        (lambda x: x**3, X, "scale", "", G * X**2),
        (lambda x: x**3, X, "wrong_saved_value", "", G * 3 * X**3),
        (lambda x: x * x, X, "scale", "", G * X),
        (lambda x: 0.5 * x, X, "scale", "", G),
        (lambda x: 1.0 / x, POSITIVE, "wrong_saved_value", "squared", -G / POSITIVE),
        (lambda x: 1.0 / x, POSITIVE, "wrong_saved_value", "again", -G / POSITIVE),
        (lambda x: 2.0 - x, X, "sign", "", G),
        (tc.exp, X, "ignores_upstream", "", np.exp(X)),
        (lambda x: x * np.eye(3, 4), X, "missing_mask", "", G),
        (lambda x: tc.cumsum(x, 1), X, "wrong_axis", "", np.cumsum(G, 1)),
    ],
)
def test_elementwise_rules(f: Any, x: Any, cause: str, words: str, expected: Any) -> None:
    [gradient] = broken(traced(f, x), cause, words)
    np.testing.assert_allclose(gradient, expected, atol=1e-14)


def test_factors_of_a_product() -> None:
    trace = traced(tc.multiply, X, Y)
    words = ("input 0: the operand", "input 0: the product", "input 0: the upstream")
    wrong = [broken(trace, "wrong_saved_value", each)[0] for each in words]
    np.testing.assert_allclose(wrong, [G * X, G * X * Y, G * G])


def test_dropout_has_a_mask_and_a_scale() -> None:
    trace = traced(lambda x: F.dropout(x, 0.75, generator=np.random.default_rng(1)), X)
    kept = trace.output.data != 0
    np.testing.assert_allclose(broken(trace, "missing_dropout_scale")[0], G * kept)
    np.testing.assert_allclose(broken(trace, "missing_mask", "mask is left out")[0], 4 * G)
    np.testing.assert_allclose(broken(trace, "missing_mask", "and scale")[0], G)
    np.testing.assert_allclose(broken(trace, "wrong_mask")[0], 4 * G * ~kept)


def test_the_mask_of_another_layer() -> None:
    trace = traced(lambda x, y: F.relu(F.relu(x) - y), X, Y)
    first, second = found(trace, "wrong_mask", "that of")
    outer = np.maximum(X, 0) > Y
    np.testing.assert_allclose(edited_gradients(trace, [first])[0], G * outer)
    np.testing.assert_allclose(edited_gradients(trace, [second])[1], -G * (X > 0))


def test_ties_may_all_win() -> None:
    trace = traced(lambda x: tc.max(x, axis=1), np.array([[1.0, 2.0, 2.0]]))
    np.testing.assert_allclose(broken(trace, "tie_convention")[0], trace.upstream * [[0, 1, 1]])
    trace = traced(tc.maximum, np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    each = [edited_gradients(trace, [edit]) for edit in found(trace, "tie_convention")]
    np.testing.assert_allclose(each[1][1], trace.upstream)
    assert not found(traced(tc.maximum, X, Y), "tie_convention")


# -- sums --------------------------------------------------------------------------------------


def test_means_and_sums() -> None:
    trace = traced(lambda x: tc.mean(x, axis=0), X)
    upstream = np.broadcast_to(trace.upstream, X.shape)
    np.testing.assert_allclose(broken(trace, "missing_mean")[0], upstream)
    assert not found(trace, "mean_for_sum")
    trace = traced(lambda x: tc.sum(x, axis=0), X)
    np.testing.assert_allclose(broken(trace, "mean_for_sum")[0], upstream / 3)
    square = traced(lambda x: tc.sum(x, axis=0), X[:, :3])
    expected = np.broadcast_to(square.upstream[:, None], (3, 3))
    np.testing.assert_allclose(broken(square, "wrong_axis")[0], expected)


def test_a_bias_sums_over_the_batch() -> None:
    trace = traced(tc.add, X, Y[0])
    np.testing.assert_allclose(broken(trace, "missing_broadcast_sum", "first")[1], G[0])
    np.testing.assert_allclose(broken(trace, "missing_broadcast_sum", "last")[1], G[-1])
    np.testing.assert_allclose(broken(trace, "mean_for_sum")[1], G.mean(0))
    assert not found(trace, "wrong_axis")
    square = traced(tc.add, X[:, :3], Y[0, :3])
    np.testing.assert_allclose(broken(square, "wrong_axis")[1], square.upstream.sum(1))


def test_matrix_products() -> None:
    w = normal((4, 4))
    trace = traced(tc.matmul, X, w)
    np.testing.assert_allclose(broken(trace, "transposed", "not transposed")[0], G @ w)
    np.testing.assert_allclose(broken(trace, "transposed", "result")[1], (X.T @ G).T)
    np.testing.assert_allclose(broken(trace, "overwritten", "input 1")[1], np.outer(X[2], G[2]))
    np.testing.assert_allclose(broken(trace, "mean_for_sum", "input 1")[1], X.T @ G / 3)
    assert not found(traced(tc.matmul, X[0], w[0]), "mean_for_sum")  # of vectors


def test_a_transposition_is_no_reshape() -> None:
    trace = traced(lambda x: tc.transpose(x), X)
    np.testing.assert_allclose(broken(trace, "transposed")[0], trace.upstream.reshape(3, 4))
    cube = traced(lambda x: tc.transpose(x, 1, 2, 0), normal((2, 2, 2)))
    expected = cube.upstream.transpose(1, 2, 0)
    np.testing.assert_allclose(broken(cube, "transposed", "forth")[0], expected)


def test_elements_read_twice() -> None:
    trace = traced(lambda x: x[np.array([2, 0, 2])], X)
    expected = np.zeros_like(X)
    expected[[2, 0, 2]] = trace.upstream
    np.testing.assert_allclose(broken(trace, "overwritten")[0], expected)


def test_labels_name_the_column() -> None:
    x = normal((3, 5))
    trace = traced(lambda x: F.cross_entropy(x, LABELS), x)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    for words, labels in (("further", LABELS + 1), ("last", [4, 4, 4]), ("largest", x.argmax(1))):
        expected = trace.upstream * (p - np.eye(5)[labels]) / 3
        # the gradient through log_softmax sums what it is given, wherever it lies
        np.testing.assert_allclose(broken(trace, "wrong_index", words)[0], expected, atol=1e-14)
    assert not found(trace, "overwritten")  # a row has one label: nothing is named twice


def test_joined_operands() -> None:
    trace = traced(lambda x, y: tc.stack([x, y]), X, Y)
    np.testing.assert_allclose(broken(trace, "wrong_index", "input 0")[0], trace.upstream[1])


# -- windows -----------------------------------------------------------------------------------

IMAGES, FILTERS, BIAS = normal((2, 2, 7, 5)), normal((3, 2, 3, 2)), normal(3)


def by_loops(trace: Trace, w: Any, stride: Any, *, swap: bool = False, assign: bool = False) -> Any:
    """The input gradient of a convolution, in the loops of a student."""
    g, dx = trace.upstream, np.zeros_like(IMAGES)
    fh, fw = w.shape[2:]
    sizes = g.shape[:1:-1] if swap else g.shape[2:]
    for i, j in product(*map(range, sizes)):
        if i < g.shape[2] and j < g.shape[3]:
            window = np.s_[
                :, :, i * stride[0] : i * stride[0] + fh, j * stride[1] : j * stride[1] + fw
            ]
            part = np.einsum("nk,kcab->ncab", g[:, :, i, j], w)
            dx[window] = part if assign else dx[window] + part
    return dx


def test_input_gradient_of_a_convolution() -> None:
    trace = traced(lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1)), IMAGES, FILTERS, BIAS)
    np.testing.assert_allclose(trace.gradients()[0], by_loops(trace, FILTERS, (2, 1)))
    flipped = FILTERS[:, :, ::-1, ::-1]
    for cause, words, expected in (
        ("unflipped_kernel", ": the filters", by_loops(trace, flipped, (2, 1))),
        ("overwritten", "window after", by_loops(trace, FILTERS, (2, 1), assign=True)),
        ("stride_ignored", "put back", by_loops(trace, FILTERS, (1, 1))),
        ("rows_columns_swapped", "bounds", by_loops(trace, FILTERS, (2, 1), swap=True)),
    ):
        [first, *_] = (edited_gradients(trace, [edit]) for edit in found(trace, cause, words))
        np.testing.assert_allclose(first[0], expected, atol=1e-13, err_msg=cause)


def test_weight_gradient_of_a_convolution() -> None:
    trace = traced(lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1)), IMAGES, FILTERS, BIAS)
    g, right = trace.upstream, trace.gradients()[1]
    assert right is not None
    turned = broken(trace, "unflipped_kernel", "gradient of the filters")[1]
    np.testing.assert_allclose(turned, right[:, :, ::-1, ::-1])
    alone = Trace(lambda w: F.conv2d(IMAGES[1:], w, stride=(2, 1)), [FILTERS], g[1:])
    last = broken(trace, "overwritten", "last image")[1]
    np.testing.assert_allclose(last, alone.gradients()[0])
    np.testing.assert_allclose(broken(trace, "mean_for_sum", "over the batch")[1], right / 2)
    stepless = Trace(lambda w: F.conv2d(IMAGES[:, :, :5], w), [FILTERS], g)
    expected = stepless.gradients()[0]
    np.testing.assert_allclose(broken(trace, "stride_ignored", "are read")[1], expected)


def test_settings_without_effect_invite_no_mistake() -> None:
    trace = traced(F.conv2d, IMAGES, FILTERS[:, :, :1, :1])
    causes = {edit.cause for edit in edits(trace)}
    assert causes.isdisjoint({"stride_ignored", "padding_offset", "unflipped_kernel"})


def test_padding_is_cut_off_on_both_sides() -> None:
    trace = traced(lambda x: tc.pad(x, ((1, 1), (2, 2))), X)
    g = trace.upstream
    np.testing.assert_allclose(broken(trace, "padding_offset", "beginning")[0], g[:3, :4])
    np.testing.assert_allclose(broken(trace, "padding_offset", "twice")[0], g[2:5, 4:8])


def test_max_pool_routes_to_the_winner() -> None:
    trace = traced(lambda x: F.max_pool2d(x, 3, 1), IMAGES)
    every, zeros, winners = (np.zeros_like(IMAGES) for _ in range(3))
    for n, c, i, j in product(*map(range, trace.output.shape)):
        window = np.s_[n, c, i : i + 3, j : j + 3]
        won = IMAGES[window] == IMAGES[window].max()
        upstream = trace.upstream[n, c, i, j]
        every[window] += upstream
        zeros[window] = won * upstream
        winners[window][won] = upstream
    np.testing.assert_allclose(broken(trace, "missing_mask")[0], every)
    np.testing.assert_allclose(broken(trace, "overwritten", "window after")[0], zeros)
    np.testing.assert_allclose(broken(trace, "overwritten", "winners")[0], winners)


# -- paths -------------------------------------------------------------------------------------


def test_softmax_has_more_than_a_diagonal() -> None:
    trace = traced(F.softmax, X)
    s = trace.output.data
    np.testing.assert_allclose(broken(trace, "diagonal_only", "itself")[0], G * s * (1 - s))
    np.testing.assert_allclose(broken(trace, "diagonal_only", "elementwise")[0], G * s)
    expected = s * (G - (G * s).sum(0))
    np.testing.assert_allclose(broken(trace, "wrong_axis")[0], expected)


def by_hand_batch_norm(x: Any, w: Any) -> Any:
    centered = x - tc.mean(x, axis=0)
    return w * centered / tc.sqrt(tc.mean(centered * centered, axis=0) + 1e-5)


@pytest.mark.parametrize(
    "f", [lambda x, w: F.batch_norm(x, weight=w, training=True), by_hand_batch_norm]
)
def test_the_mean_terms_of_a_normalisation(f: Any) -> None:
    w = normal(4)
    trace = traced(f, X, w)
    scale = w / np.sqrt(X.var(0) + 1e-5)
    [dropped, *_] = found(trace, "diagonal_only", "elementwise")
    np.testing.assert_allclose(edited_gradients(trace, [dropped])[0], G * scale)


def test_a_function_may_be_left_out_as_a_whole() -> None:
    trace = traced(lambda x: F.batch_norm(x, training=True), X)
    constant_spread = (G - G.mean(0)) / np.sqrt(X.var(0) + 1e-5)
    np.testing.assert_allclose(broken(trace, "missing_path", "batch_norm/var:")[0], constant_spread)


def test_shared_variables_collect_all_contributions() -> None:
    trace = traced(lambda x, y: x * y + F.relu(x), X, Y)
    np.testing.assert_allclose(broken(trace, "overwritten")[0], G * Y)
    np.testing.assert_allclose(broken(trace, "missing_path", "multiply", "input 0")[0], G * (X > 0))
    twice = broken(trace, "repeated_term", "maximum")[0]
    np.testing.assert_allclose(twice, G * Y + 2 * G * (X > 0))


def test_mistakes_add_up() -> None:
    trace = traced(lambda x: tc.exp(tc.tanh(x)), X)
    signs = found(trace, "sign")
    np.testing.assert_allclose(edited_gradients(trace, signs)[0], trace.gradients()[0])
    [mean] = found(traced(lambda x: tc.mean(x), X), "missing_mean")
    assert len(signs) == 2
    assert mean.node.primitive is not None


# -- the catalogue as a whole ------------------------------------------------------------------


def layers(n: int) -> list[tuple[Any, ...]]:
    """Functions with inputs for a batch of n."""
    labels = np.arange(n) % 3
    return [
        (lambda x, w, b: F.conv2d(x, w, b, 2, 1), normal((n, 2, 9, 8)), FILTERS, BIAS),
        (lambda x: F.max_pool2d(x, 3, (2, 1)), normal((n, 2, 9, 7))),
        (lambda x: F.avg_pool2d(x, 2), normal((n, 2, 9, 7))),
        (lambda x, w: F.relu(F.linear(x, w)), normal((n, 5)), normal((7, 5))),
        (lambda x: F.batch_norm(x, training=True), normal((n, 2, 3, 4))),
        (lambda x: F.cross_entropy(x, labels), normal((n, 11))),
        (lambda x: F.hinge_loss(x, labels), normal((n, 11))),
        (lambda x: F.dropout(x, generator=np.random.default_rng(0)), normal((n, 9))),
        (lambda x: tc.norm(F.gelu(x), axis=1) * tc.std(x), normal((n, 9))),
    ]


@pytest.mark.parametrize("case", layers(6))
def test_every_mistake_keeps_the_shapes_and_the_recording(case: tuple[Any, ...]) -> None:
    trace = traced(*case)
    before = [np.array(a) for node in trace.nodes for a in (node.args or ())]
    right = trace.gradients()
    for edit in edits(trace):
        wrong = edited_gradients(trace, [edit])
        assert [np.shape(g) for g in wrong] == [np.shape(g) for g in right], edit.what
        assert edit.remedy
    after = [a for node in trace.nodes for a in (node.args or ())]
    assert all(map(np.array_equal, before, after))
    assert all(np.array_equal(g, other) for g, other in zip(trace.gradients(), right, strict=True))


@pytest.mark.parametrize(("few", "many"), list(zip(layers(6), layers(8), strict=True)))
def test_keys_name_a_mistake_in_every_recording(few: Any, many: Any) -> None:
    keys = [[edit.key for edit in edits(traced(*case))] for case in (few, many)]
    assert len(set(keys[0])) == len(keys[0])
    assert keys[0] == keys[1]


def test_a_wrong_rule_may_divide_by_zero() -> None:
    trace = Trace(tc.log, [np.array([1.0, 2.0])])
    [gradient] = broken(trace, "wrong_saved_value")
    assert gradient[0] == np.inf


def test_scalars_and_rules_of_one_s_own() -> None:
    double = tc.primitive("test_edits_double", lambda x: 2 * x, (lambda g, ans, x: 2 * g,))
    trace = Trace(lambda a, b: double(a * b) ** 2, [1.5, -2.0], 3.0)
    assert {edit.cause for edit in edits(trace)} >= {"scale", "sign", "wrong_saved_value"}
    np.testing.assert_allclose(broken(trace, "sign", "test_edits_double")[0], 3 * 8 * 1.5 * -4.0)
