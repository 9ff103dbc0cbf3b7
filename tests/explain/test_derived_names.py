"""What a derivation calls things, and how long sums and long chains read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError
from tinygrad_cnn.explain import derive

X = np.arange(6.0).reshape(2, 3)


def variable(*shape: int) -> Tensor:
    return tc.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)


def keys_and_arguments(derivation: Any) -> tuple[list[str], list[str]]:
    space: dict[str, Any] = {}
    exec(derivation.numpy(), space)
    _, gradients = space["loss_and_gradients"](**derivation.inputs())
    return list(gradients), [name for name in derivation.inputs() if name != "X"]


def test_elements_of_lists_and_dicts() -> None:
    Ws, P = [variable(3, 3), variable(3, 2)], {"b": variable(2), 3: variable(2)}
    loss = (X @ Ws[0] @ Ws[1] + P["b"] * P[3]).sum()
    expected = ["P_3", "P_b", "Ws_0", "Ws_1"]
    keys, arguments = keys_and_arguments(derive(loss))
    assert sorted(keys) == sorted(arguments) == expected


class Net:
    """A net of a beginner, without modules."""

    def __init__(self) -> None:
        self.W = variable(3, 2)

    def derived(self) -> Any:
        loss = (X @ self.W).sum()
        return derive(loss)


def test_attributes_of_self() -> None:
    assert keys_and_arguments(Net().derived()) == (["W"], ["W"])


def test_a_variable_goes_before_the_list_it_is_in() -> None:
    weight = variable(3)
    every = [weight]
    assert keys_and_arguments(derive((every[0] * X).sum())) == (["weight"], ["weight"])


def test_names_that_are_made_up_are_the_same_in_both_places() -> None:
    def loss() -> Tensor:
        return (variable(3, 2).T * variable(2, 3)).sum()

    keys, arguments = keys_and_arguments(derive(loss()))
    assert sorted(keys) == sorted(arguments) == ["x", "x2"]


def test_names_of_wrt_are_used_in_the_formulas() -> None:
    weight = tc.nn.Parameter(np.ones((3, 2)), name="fc1.weight")
    loss = (X @ weight).sum()
    derivation = derive(loss, {"V": weight})
    assert keys_and_arguments(derivation) == (["V"], ["V"])
    assert r"\mathrm{d}V" in derivation.latex()


def test_unicode_names_stay() -> None:
    θ, Δw, größe, ŷ = variable(3), variable(3), variable(3), variable(3)
    loss = (θ * Δw + größe * ŷ).sum()
    derivation = derive(loss)
    keys, arguments = keys_and_arguments(derivation)
    assert sorted(keys) == sorted(arguments) == sorted(["θ", "Δw", "größe", "ŷ"])
    latex = derivation.latex()
    for expected in (r"\theta", r"\Delta w", r"\mathrm{größe}", r"\mathrm{ŷ}"):
        assert expected in latex
    assert "θ" in derivation.html()


@pytest.mark.parametrize("name", ["_", "__", "a}b", "$", "w_", "²", "αβ"])
def test_any_name_is_valid_latex(name: str) -> None:
    W = [variable(3, 2)]
    derivation = derive((X @ W[0]).sum(), names={name: W[0]})
    latex = derivation.latex(shapes=False).replace(r"\{", "").replace(r"\}", "")
    assert latex.count("{") == latex.count("}")
    assert "{_}" not in latex
    assert "d_" not in latex
    assert "<math" in derivation.html()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w: derive(w), GraphError, "a variable itself"),
        (lambda w: derive(w * 1.0, {1: w}), DtypeError, "wrt: expected a dict .* the key 1"),
        (lambda w: derive(w * 1.0, names="x"), DtypeError, "names: expected a dict .* got str"),
        (lambda w: derive(w * 1.0, names=[w]), DtypeError, "names: expected a dict .* got list"),
        (lambda w: derive(w * 1.0, names={1: w}), DtypeError, "got 1: Tensor"),
        (lambda w: derive(w * 1.0, names={"a": "b"}), DtypeError, "got 'a': str"),
        (lambda w: derive(w * 1.0, names={"a": tc.ones(2)}), ArgumentError, "'a' .* took no part"),
    ],
)
def test_mistakes_about_names(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(tc.tensor(2.0, requires_grad=True))


@pytest.mark.parametrize("steps", [20, 1000])
def test_a_recurrent_net_has_short_lines(steps: int) -> None:
    W, h = tc.tensor(0.5, requires_grad=True), 1.0
    for _ in range(steps):
        h = tc.tanh(h * W + 0.1)
    derivation = derive(h)
    assert max(map(len, derivation.numpy().splitlines())) < 100
    assert f"the sum over {steps} paths" in derivation.numpy()
    assert derivation.error < 1e-10


def test_long_sums_keep_signs_and_parentheses() -> None:
    one_long_name, another_long_name = variable(3), variable(3)
    loss = (
        -(one_long_name**2) - (another_long_name - one_long_name) - one_long_name
        + F.relu(one_long_name) - (one_long_name.numpy() > 0) * one_long_name
    ).sum()  # fmt: skip
    derivation = derive(loss)
    assert derivation.error < 1e-10
    assert "done_long_name = (\n" in derivation.numpy()
    assert "\n        - " in derivation.numpy()


def test_a_long_chain() -> None:
    y = tc.tensor(0.5, requires_grad=True)
    for _ in range(3000):
        y = tc.sin(y)
    assert derive(y).error < 1e-10


def test_what_it_says_of_itself() -> None:
    w = variable(3)
    loss = (w * w).sum()
    assert repr(derive(loss)).startswith("<Derivation of loss by w: 5 equations, within ")


def test_a_constant_of_this_run_is_called_so() -> None:
    scores = variable(2, 3)
    code = derive((F.softmax(scores, axis=1) ** 2).sum()).numpy("primitives")
    assert "constant: as computed in this run" in code
    assert "np.array([[" not in code
