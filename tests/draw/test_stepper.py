"""The page that steps through a computation: what it holds is what the engine computed."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._graph import differentiate, read
from tinygrad_cnn.draw.stepper import _arrays, stepper
from tinygrad_cnn.draw.stepper._local import passage
from tinygrad_cnn.draw.stepper._tree import Tree
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError, ShapeError


def number(value):
    """What ``pageData`` makes of a number that JSON cannot say."""
    return float(value["$float"]) if isinstance(value, dict) else value


class Told:
    """The data of a page, and its small arrays as NumPy's."""

    def __init__(self, path):
        self.text = path.read_text("utf-8")
        script = r'<script type="application/json" id="data">(.*?)</script>'
        self.data = json.loads(re.search(script, self.text)[1])
        self.vertices = self.data["vertices"]

    def array(self, index):
        """An array that is embedded in full; None for a heat map or one that was left out."""
        if index < 0:
            return None
        found = self.data["arrays"][index]
        if isinstance(found, list):
            return np.array(number(found[0]), found[1])
        if "values" not in found:
            return None
        return np.array([*map(number, found["values"])], found["dtype"]).reshape(found["shape"])

    def named(self, name):
        [found] = [vertex for vertex in self.vertices if vertex.get("name") == name]
        return found

    def computed(self, operation):
        return [vertex for vertex in self.vertices if vertex.get("op") == operation]

    def groups(self, vertex):
        """The names of the boxes around a vertex, from the innermost."""
        names, group = [], vertex["in"]
        while group >= 0:
            names.append(self.data["groups"][group]["name"])
            group = self.data["groups"][group]["in"]
        return names


@pytest.fixture
def told(tmp_path):
    """Writes the page of a result and reads it."""
    return lambda loss, **settings: Told(stepper(loss, tmp_path / "page", **settings))


def perceptron(rng):
    """A loss of every kind of step, and the variables it depends on."""
    x, labels = rng.normal(size=(3, 4)), [0, 2, 1]
    variables = {
        name: tc.tensor(rng.normal(size=shape), requires_grad=True, name=name)
        for name, shape in {"W1": (4, 5), "b1": (5,), "W2": (5, 3), "b2": (1, 3)}.items()
    }
    w1, b1, w2, b2 = variables.values()
    h = F.relu(x @ w1 + b1)
    scores = tc.tanh(h @ w2 + b2) * 2.0 + h.max(axis=1, keepdims=True) / (1 + h * h).mean()
    return F.cross_entropy(scores, labels), variables


def residual(rng):
    x = rng.normal(size=(2, 2, 6, 6)).astype("float32")
    conv, norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
    h = conv(x)
    return F.cross_entropy(F.max_pool2d(F.relu(h + norm(h)), 3).reshape(2, -1), [0, 1])


def lenet(rng):
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    return F.cross_entropy(model(rng.random((1, 1, 28, 28)).astype("float32")), [7])


# -- the numbers ---------------------------------------------------------------------------


def test_gradients_are_those_of_backward_to_the_last_bit(told, rng):
    loss, variables = perceptron(rng)
    page = told(loss)
    loss.backward()
    for name, variable in variables.items():
        vertex = page.named(name)
        np.testing.assert_array_equal(page.array(vertex["value"]), variable.numpy())
        np.testing.assert_array_equal(page.array(vertex["grad"]), variable.grad.numpy())


def test_values_are_those_of_the_forward_pass(told, rng):
    loss, _ = perceptron(rng)
    page = told(loss)
    for vertex, shown in zip(read(loss), page.vertices, strict=True):
        assert shown["shape"] == list(vertex.shape)
        np.testing.assert_array_equal(page.array(shown["value"]), vertex.value)


def test_upstream_times_local_is_downstream_on_the_page(told, rng):
    loss, _ = perceptron(rng)
    page = told(loss)
    forms = set()
    for vertex in page.vertices:
        for back in vertex.get("back", ()):
            forms.add(back["form"])
            if back["form"] == "moved":
                continue
            upstream, down = page.array(vertex["grad"]), page.array(back["down"])
            factor = page.array(back["factor"])
            axes = tuple(back.get("axes", ()))
            if back["form"] == "matmul":
                found = factor @ upstream if back["to"] else upstream @ factor
            elif back["form"] == "spread":
                kept = [1 if i in axes else n for i, n in enumerate(down.shape)]
                found, axes = upstream.reshape(kept) * factor, ()
            else:
                found = upstream * factor
            if axes:
                np.testing.assert_allclose(found, page.array(back["whole"]), rtol=1e-12)
                found = found.sum(axes).reshape(down.shape)
            np.testing.assert_allclose(np.broadcast_to(found, down.shape), down, rtol=1e-12)
    assert forms == {"product", "spread", "matmul", "moved"}


@pytest.mark.parametrize("make", [lenet, residual])
def test_every_passage_is_what_the_engine_passes_on(make, rng):
    recording = read(make(rng))
    gradients = differentiate(recording)
    moved = set()
    for (vertex, index), down in gradients.contributions.items():
        upstream = gradients.of[vertex]
        found = passage(vertex, index, upstream)
        if found.form == "moved":
            moved.add(vertex.operation)
        elif found.form == "product":
            whole = upstream * found.factor if found.whole is None else found.whole
            summed = whole.sum(found.axes).reshape(down.shape)
            np.testing.assert_allclose(summed, down, rtol=1e-4, atol=1e-7)
    assert moved <= {"reshape", "transpose", "im2col", "gather_windows", "getitem", "pad"}


def test_contributions_add_up_to_the_gradient(told, rng):
    loss, _ = perceptron(rng)
    page = told(loss)
    sums = {}
    for number_ in page.data["walk"]:
        vertex = page.vertices[number_]
        for back in vertex["back"]:
            target = vertex["of"][back["to"]]
            sums[target] = sums.get(target, 0) + page.array(back["down"])
    assert max(len(v["back"]) for v in page.vertices if "back" in v) == 2
    for target, total in sums.items():
        np.testing.assert_array_equal(total, page.array(page.vertices[target]["grad"]))


def test_operations_of_the_users_own_are_taken_apart_too(told):
    softplus = tc.primitive(
        "my_softplus", lambda x: np.logaddexp(0, x), (lambda g, ans, x: g * tc.sigmoid(x),)
    )
    mirror = tc.primitive("my_mirror", lambda x: x[::-1], (lambda g, ans, x: g[::-1],))
    x = tc.tensor([1.0, -1.0], requires_grad=True)
    page = told(mirror(softplus(x)) * np.array([1.0, 3.0]))
    [made] = page.computed("my_softplus")
    [back] = made["back"]
    sigmoid = 1 / (1 + np.exp([-1.0, 1.0]))
    np.testing.assert_allclose(page.array(back["factor"]), sigmoid, rtol=1e-12)
    assert made["math"] == -1
    assert page.computed("my_mirror")[0]["back"][0]["form"] == "moved"


def test_upstream_can_be_given(told):
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = x * 3
    assert told(y).named("x")["grad"] >= 0
    page = told(y)
    np.testing.assert_array_equal(page.array(page.named("x")["grad"]), [3, 3])
    page = told(y, upstream=[10, -1])
    np.testing.assert_array_equal(page.array(page.named("x")["grad"]), [30, -3])


def test_where_no_gradient_flows_none_is_shown(told):
    x = tc.tensor([1.0, -2.0], requires_grad=True, name="x")
    page = told(x * tc.sign(x))
    [sign] = page.computed("sign")
    assert sign["flows"] == [0]
    assert sign["back"] == []
    np.testing.assert_array_equal(page.array(page.named("x")["grad"]), [1, -1])


@pytest.mark.parametrize("values", [[np.nan, np.inf, -1.0], [], [5e-324, 1e308]])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_numbers_are_embedded(told, values):
    x = tc.tensor(values, requires_grad=True, name="x")
    page = told(x * x)
    np.testing.assert_array_equal(page.array(page.named("x")["value"]), values)


def test_a_variable_is_a_result_too(told):
    x = tc.tensor(2.0, requires_grad=True, name="x")
    page = told(x)
    assert [vertex["kind"] for vertex in page.vertices] == ["variable"]
    assert page.array(page.named("x")["grad"]) == 1


# -- size ----------------------------------------------------------------------------------


def test_a_lenet_takes_less_than_a_megabyte(told, rng):
    page = told(lenet(rng))
    assert len(page.text.encode()) < 1_000_000
    assert page.data["left_out"] == 0


def test_equal_arrays_are_embedded_once(told):
    x = tc.tensor(np.arange(50.0), requires_grad=True, name="x")
    page = told(x + 1.0)
    [add] = page.computed("add")
    assert add["grad"] == add["back"][0]["down"] == page.named("x")["grad"]


def test_thousands_of_operations_fit(told):
    x = tc.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(2000):
        y = tc.tanh(y) + x
    page = told(y)
    assert len(page.vertices) == 4001
    assert len(page.text.encode()) < 3_000_000
    outermost = {(v["in"] if v["in"] >= 0 else f"v{i}") for i, v in enumerate(page.vertices)}
    assert len(outermost) < 100  # boxes


def test_heat_maps_get_coarser_before_arrays_are_left_out(told, rng, monkeypatch):
    x = tc.tensor(rng.normal(size=(64, 64)), requires_grad=True)
    y = x
    for _ in range(10):
        y = tc.sin(y)
    fine = told(y)
    monkeypatch.setattr(_arrays, "BUDGET", 60_000)
    coarse = told(y)
    monkeypatch.setattr(_arrays, "BUDGET", 5_000)
    short = told(y)
    assert [page.data["left_out"] > 0 for page in (fine, coarse, short)] == [False, False, True]
    sides = [page.data["arrays"][0]["heat"]["rows"] for page in (fine, coarse)]
    assert sides[1] < sides[0] == 64
    assert sum(len(json.dumps(a)) for a in coarse.data["arrays"]) <= 60_000
    assert sum(len(json.dumps(a)) for a in short.data["arrays"]) <= 5_000


# -- names and places ----------------------------------------------------------------------


def test_names_are_the_users(tmp_path):
    def inner(a):
        doubled = a * 2
        again = inner_most(doubled + 1)  # computed by lines of its own
        x = again + 1
        x = x * x
        return x  # noqa: RET504

    def inner_most(a):
        return a - 3.0

    b = tc.tensor(2.0, requires_grad=True)
    loss = inner(b)
    page = Told(stepper(loss, tmp_path / "page"))
    names = [(vertex.get("op"), vertex.get("name")) for vertex in page.vertices]
    assert [pair for pair in names if any(pair)] == [
        (None, "b"), ("multiply", "doubled"), ("add", None), ("subtract", None), ("add", None),
        ("multiply", "loss"),
    ]  # fmt: skip


def test_what_is_given_lies_beside_the_function_that_uses_it(told, rng):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    page = told(model(rng.random((1, 1, 5, 5)).astype("float32")).sum())
    assert page.groups(page.named("0.weight")) == ["0", "Sequential"]
    assert page.groups(page.named("x")) == []
    assert page.groups(page.computed("matmul")[0]) == ["conv2d", "0", "Sequential"]
    assert page.groups(page.named("running_mean")) == ["1", "Sequential"]
    zero = [v for v in page.vertices if v["kind"] == "constant" and page.array(v["value"]) == 0]
    assert [page.groups(v) for v in zero] == [["relu", "2", "Sequential"]]


def test_what_several_layers_share_lies_around_them(told, rng):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(F.relu(self.fc(x)))

    page = told(Twice()(rng.random((2, 3)).astype("float32")).sum())
    assert page.groups(page.named("fc.weight")) == ["Twice"]


def test_runs_never_depend_on_each_other_both_ways():
    x = tc.tensor(1.0, requires_grad=True)
    y = x
    for step in range(400):
        y = F.leaky_relu(y) if step % 7 == 0 else y + x
    recording = read(y)
    place = Tree(recording).place
    runs = {}
    for vertex in recording:
        if vertex.operation:
            runs.setdefault(place[vertex].path[0], len(runs))
    assert 10 < len(runs) < 40
    for vertex in recording:
        for operand in vertex.operands:
            if operand.operation:
                first, then = place[operand].path[0], place[vertex].path[0]
                assert runs[first] <= runs[then]


def test_source_lines_are_told_without_the_folder(told):
    x = tc.tensor(1.0, requires_grad=True)
    y = x + x  # </script><script>alert(1)</script>
    page = told(y)
    [add] = page.computed("add")
    file, line, function, text = page.data["texts"][add["line"]]
    assert (file, function) == ("test_stepper.py", "test_source_lines_are_told_without_the_folder")
    assert text == "y = x + x  # </script><script>alert(1)</script>"
    assert line > 0


def test_hostile_names_stay_text(told):
    name = "</script><img src=x onerror=alert(1)>"
    x = tc.tensor(1.0, requires_grad=True, name=name)
    with tc.scope("<b>"):
        y = tc.exp(x)
    page = told(y)
    assert page.named(name)
    assert "<img" not in page.text
    assert page.text.lower().count("</script>") == 2


# -- nothing else --------------------------------------------------------------------------


def test_nothing_is_changed(told, rng):
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    loss = model(rng.random((6, 3)).astype("float32")).sum()
    state = {name: np.array(value) for name, value in model.state_dict().items()}
    told(loss)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert tc.is_grad_enabled()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(np.array(value), state[name])
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_it_can_follow_a_backward_that_keeps_the_graph(told):
    x = tc.tensor(3.0, requires_grad=True, name="x")
    y = x * x
    y.backward(retain_graph=True)
    page = told(y)
    assert page.array(page.named("x")["grad"]) == 6
    assert x.grad.item() == 6


def test_what_cannot_be_stepped_through_is_refused(tmp_path):
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(DtypeError, match=r"draw\.stepper: expected a Tensor, got float"):
        stepper(3.0, tmp_path / "page")
    with pytest.raises(GraphError, match=r"draw\.stepper: this Tensor was not recorded"):
        stepper(tc.tensor(3.0), tmp_path / "page")
    with pytest.raises(ShapeError, match=r"gradient has shape \(3,\), the result \(2,\)"):
        stepper(x * 2, tmp_path / "page", upstream=[1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="existing folder"):
        stepper(x * 2, tmp_path / "none" / "page")
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"call stepper before it, or use backward\(retain_graph"):
        stepper(y, tmp_path / "page")
    assert not list(tmp_path.iterdir())
