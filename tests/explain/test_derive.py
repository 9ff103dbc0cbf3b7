"""The generated NumPy function against autograd, for whole models, and what it is called."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tinygrad_cnn.explain import Derivation, derive


class ConvBatchNorm(nn.Module):
    """Two convolutions with batch normalisation, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 3, kernel_size=3, stride=2)
        self.bn2 = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3 * 2 * 2, 3)

    def forward(self, x: Any) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        scores: Tensor = self.fc(F.flatten(x, 1))
        return scores


class Residual(nn.Module):
    """A block whose input is used twice, and global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(4, 4, kernel_size=3, padding=1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Any) -> Tensor:
        h = F.relu(self.conv1(x))
        h = F.relu(h + self.conv3(F.relu(self.conv2(h))))
        scores: Tensor = self.fc(F.avg_pool2d(h, 6).reshape(-1, 4))
        return scores


def two_layers(rng: np.random.Generator) -> tuple[Tensor, ...]:
    shapes = ((4, 10), (10,), (10, 3), (3,))
    return tuple(tc.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes)


def affine_relu_affine(X: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Tensor:
    hidden = F.relu(X @ W1 + b1)
    scores: Tensor = hidden @ W2 + b2
    return scores


def run(derivation: Derivation, zoom: Any) -> tuple[Any, dict[str, Any]]:
    space: dict[str, Any] = {}
    exec(derivation.numpy(zoom), space)
    result: tuple[Any, dict[str, Any]] = space["loss_and_gradients"](**derivation.inputs(zoom))
    return result


def assert_reproduces(derivation: Derivation, loss: Tensor, variables: dict[str, Tensor]) -> None:
    """Loss and gradients of the text, run here with NumPy alone, to 1e-10 of autograd's."""
    for tensor in variables.values():
        tensor.grad = None
    expected = loss.item()
    loss.backward(retain_graph=True)
    for zoom in ("layers", "primitives"):
        value, gradients = run(derivation, zoom)
        assert value == pytest.approx(expected, rel=1e-12)
        assert gradients.keys() == variables.keys()
        largest = max(np.abs(tensor.grad.numpy()).max() for tensor in variables.values())
        for name, tensor in variables.items():
            right = tensor.grad.numpy()
            # the gradient of a bias before batch norm is 0: it has no scale of its own
            scale = max(np.abs(right).max(), 1e-3 * largest)
            assert gradients[name].shape == right.shape
            assert np.abs(gradients[name] - right).max() < 1e-10 * scale, (zoom, name)
    assert derivation.error < 1e-10


MODELS = {
    "LeNet": (lambda: tc.models.LeNet5(), (3, 1, 28, 28)),
    "batch norm": (ConvBatchNorm, (3, 2, 6, 6)),
    "residual": (Residual, (3, 2, 6, 6)),
    "Sequential": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)),
        (3, 2, 2, 2),
    ),
}


@pytest.mark.parametrize("loss_function", [F.cross_entropy, F.hinge_loss])
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, loss_function: Any, rng: np.random.Generator) -> None:
    make, shape = MODELS[name]
    model, images, labels = make().double(), rng.normal(size=shape), np.array([2, 0, 1])
    loss = loss_function(model(images), labels)
    assert_reproduces(derive(loss, model), loss, dict(model.named_parameters()))


def test_the_two_layer_net_reads_like_the_assignment(rng: np.random.Generator) -> None:
    W1, b1, W2, b2 = two_layers(rng)
    X, y = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    scores = affine_relu_affine(X, W1, b1, W2, b2)
    loss = F.cross_entropy(scores, y)
    derivation = derive(loss)
    assert_reproduces(derivation, loss, {"W1": W1, "b1": b1, "W2": W2, "b2": b2})
    assert list(derivation.inputs()) == ["X", "y", "W1", "b1", "W2", "b2"]
    code = derivation.numpy()
    body = [line.split("  #")[0].strip() for line in code.splitlines()]
    for expected in (
        "z = X @ W1 + b1",
        "hidden = np.maximum(0, z)",
        "scores = hidden @ W2 + b2",
        "dW2 = hidden.T @ dscores",
        "db2 = dscores.sum(axis=0)",
        "dhidden = dscores @ W2.T",
        "dz = dhidden * (z > 0)",
        "dW1 = X.T @ dz",
        "db1 = dz.sum(axis=0)",
    ):
        assert expected in body, code
    assert "  # (10, 3)" in code


def test_the_text_needs_nothing_but_numpy(rng: np.random.Generator, tmp_path: Path) -> None:
    model = tc.models.LeNet5().double()
    loss = F.cross_entropy(model(rng.normal(size=(1, 1, 28, 28))), [3])
    derivation = derive(loss)
    (tmp_path / "derived.py").write_text(derivation.numpy(), encoding="utf-8")
    np.savez(tmp_path / "inputs.npz", **derivation.inputs())
    script = (
        "import sys, numpy as np; sys.modules['tinygrad_cnn'] = None; import derived;"
        "print(derived.loss_and_gradients(**np.load('inputs.npz'))[0])"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert float(printed.stdout) == pytest.approx(loss.item(), rel=1e-12)


def test_a_float32_model_is_compared_in_float64() -> None:
    model = tc.models.DigitsNet()
    images, labels = tc.data.Digits("train").batch(np.arange(4))
    derivation = derive(F.cross_entropy(model(images), labels))
    assert 0 < derivation.error < 1e-10
    assert derivation.inputs()["conv1_weight"].dtype == np.float32


def test_scalars() -> None:
    x, y, z = (tc.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    q = x + y
    f = q * z
    code = derive(f).numpy()
    assert "q = x + y  # scalar" in code
    assert "f = q * z  # scalar" in code
    derivation = derive(f)
    _, gradients = run(derivation, "layers")
    assert gradients == {"x": -4.0, "y": -4.0, "z": 3.0}


def test_a_value_used_twice_gets_the_sum_over_its_paths() -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x + tc.exp(x)).sum()
    derivation = derive(loss)
    assert_reproduces(derivation, loss, {"x": x})
    assert "the sum over 3 paths" in derivation.numpy()


def test_a_shared_parameter() -> None:
    w = nn.Parameter(np.array([[0.5, -1.0], [2.0, 0.25]]), name="w")
    x = np.array([[1.0, 2.0]])
    h = F.linear(x, w)
    loss = tc.sum(F.linear(tc.tanh(h), w))
    assert_reproduces(derive(loss), loss, {"w": w})


@pytest.mark.parametrize("kind", ["tensor", "list", "mapping", "module"])
def test_what_to_differentiate_by(kind: str, rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    loss = F.mse_loss(model(rng.normal(size=(5, 3))), np.zeros((5, 2)))
    first = model[0].weight
    wrt: Any = {"tensor": first, "list": [first], "mapping": {"first": first}, "module": model[2]}
    names = {"tensor": ["0.weight"], "list": ["0.weight"], "mapping": ["first"]}
    _, gradients = run(derive(loss, wrt[kind]), "layers")
    assert list(gradients) == names.get(kind, ["weight", "bias"])


def test_only_what_leads_to_it_is_derived(rng: np.random.Generator) -> None:
    W1, b1, W2, b2 = two_layers(rng)
    loss = F.cross_entropy(affine_relu_affine(rng.normal(size=(5, 4)), W1, b1, W2, b2), [0] * 5)
    code = derive(loss, b2).numpy()
    assert "db2 =" in code
    assert "dW1" not in code
    assert "dhidden" not in code


def test_an_intermediate_result_and_a_name_for_it(rng: np.random.Generator) -> None:
    W1, b1, W2, b2 = two_layers(rng)
    made = [affine_relu_affine(rng.normal(size=(5, 4)), W1, b1, W2, b2)]
    loss = F.cross_entropy(made[0], [0] * 5)
    derivation = derive(loss, {"s": made[0]}, names={"s": made[0]})
    [expected] = tc.gradients(loss, made, retain_graph=True)
    _, gradients = run(derivation, "layers")
    np.testing.assert_allclose(gradients["s"], expected, rtol=0, atol=1e-15)
    assert "\n    ds = " in derivation.numpy()


def test_strange_names_stay_text() -> None:
    names = ['"); import os #', "lambda", "np", "dx", "x", "<script>", "a\nb", '"""', "é", "1"]
    variables = [tc.tensor(float(i + 1), requires_grad=True, name=n) for i, n in enumerate(names)]
    with tc.scope('evil\nimport os\n"""'):
        loss = tc.tensor(1.0, requires_grad=True, name="dx") * 1.0
        for variable in variables:
            loss = loss * variable
    derivation = derive(loss)
    _, gradients = run(derivation, "primitives")
    assert set(names) <= set(gradients)
    tree = ast.parse(derivation.numpy("primitives"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert len(imports) == 1  # numpy


def test_the_graph_and_the_gradients_stay_as_they_were(rng: np.random.Generator) -> None:
    W1, *_ = variables = two_layers(rng)
    loss = F.cross_entropy(affine_relu_affine(rng.normal(size=(5, 4)), *variables), [0] * 5)
    derivation = derive(loss)
    assert W1.grad is None
    loss.backward()
    assert W1.grad is not None
    assert "dW1" in derivation.numpy()  # it needs the graph no more


def test_values_that_were_changed_in_place_are_no_silent_page() -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    loss = tc.exp(x).sum()
    x.numpy()[...] = 7.0
    with pytest.raises(GraphError, match=r"differs from autograd|changed in place"):
        derive(loss)


def test_an_operation_without_formula() -> None:
    cube = tc.primitive("test_cube", lambda x: x**3, (lambda g, ans, x: 3 * g * x**2,))
    loss = cube(tc.tensor(2.0, requires_grad=True))
    try:
        with pytest.raises(GraphError, match=r"'test_cube' has no formula.*explain.formula"):
            derive(loss)
    finally:
        from tinygrad_cnn._core.primitive import registry

        del registry["test_cube"]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: derive(x.numpy()), DtypeError, "expected a Tensor, got ndarray"),
        (lambda x: derive(tc.tensor(1.0)), GraphError, "not recorded"),
        (lambda x: derive(x * 2), ShapeError, "one number, got shape"),
        (lambda x: derive(x.sum(), tc.tensor(1.0)), GraphError, "requires no gradient"),
        (lambda x: derive(x.sum(), tc.ones(2, requires_grad=True)), GraphError, "no gradient"),
        (lambda x: derive(x.sum(), [np.ones(2)]), DtypeError, "expected Tensors, got ndarray"),
        (lambda x: derive(x.sum(), []), ArgumentError, "nothing to differentiate by"),
        (lambda x: derive(x.sum(), 3), DtypeError, "wrt"),
        (
            lambda x: derive(x.sum()).numpy("layer"),
            ArgumentError,
            "'layers' or 'primitives'|layers or",
        ),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=match):
        call(x)


def test_after_backward() -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    loss = tc.exp(x).sum()
    loss.backward()
    with pytest.raises(GraphError, match="derive before it"):
        derive(loss)
