"""The recorded graph read whole: constants, where they came from, and what detach cut."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._core import origin
from tinygrad_cnn._graph import Recording, Vertex, caller_names, differentiate, read
from tinygrad_cnn.errors import DtypeError, GraphError


def by_operation(recording: Recording, name: str) -> Vertex:
    [vertex] = [v for v in recording if v.operation == name]
    return vertex


def test_a_convolution_of_a_constant_image_begins_with_the_image(rng: np.random.Generator) -> None:
    image = rng.normal(size=(2, 3, 5, 5))
    layer = nn.Conv2d(3, 4, kernel_size=3, padding=1, dtype=np.float64)
    recording = read(layer(image).sum())
    columns = by_operation(recording, "im2col")
    assert not columns.requires_grad
    [padded] = columns.operands
    assert padded.operation == "pad"
    [x] = padded.operands
    assert (x.kind, x.name) == ("input", "x")
    assert x.value is image
    by_hand = np.pad(image, [(0, 0), (0, 0), (1, 1), (1, 1)])
    np.testing.assert_array_equal(columns.value, tc.im2col(by_hand, 3))


def test_every_vertex_stands_behind_its_operands_and_has_a_value() -> None:
    model = tc.models.LeNet5()
    loss = F.cross_entropy(model(np.ones((1, 1, 28, 28), np.float32)), [3])
    recording = read(loss)
    place = {vertex: i for i, vertex in enumerate(recording)}
    for vertex in recording:
        assert all(place[operand] < place[vertex] for operand in vertex.operands)
        assert len(vertex.operands) == len(vertex.flows)
        assert np.shape(vertex.value) == vertex.shape
        assert np.asarray(vertex.value).dtype == vertex.spec.dtype or vertex.kind == "constant"
    assert recording.result is recording.vertices[-1]
    names = {v.name for v in recording if v.kind == "parameter"}
    assert names == {name for name, _ in model.named_parameters()}
    assert not recording.freed


def test_kinds() -> None:
    x = np.ones((2, 3))
    w = tc.tensor(np.ones((3, 2)), requires_grad=True, name="w")
    loss = F.hinge_loss(F.linear(x, nn.Parameter(np.ones((2, 3)))) + x @ w * 2.0, [0, 1])
    kinds = [(v.kind, v.shape) for v in read(loss) if not v.operation]
    assert ("parameter", (2, 3)) in kinds
    assert ("variable", (3, 2)) in kinds
    assert ("input", (2, 3)) in kinds  # x, once, though it is used twice
    assert sum(kind == "input" for kind, _ in kinds) == 1
    assert ("constant", ()) in kinds
    assert ("constant", (2, 2)) in kinds  # the mask that hinge_loss makes


def test_detached_edges_lead_to_what_was_detached() -> None:
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    h = w * 3.0
    recording = read((h * h.detach() + w.detach() * h).sum())
    detached = [
        (o.operation or o.kind)
        for v in recording
        for o, flows in zip(v.operands, v.flows, strict=True)
        if o.requires_grad and not flows
    ]
    assert detached == ["multiply", "variable"]


def test_a_detached_number_leads_to_what_was_detached() -> None:
    w = tc.tensor(2.0, requires_grad=True)
    h = w * 3.0
    recording = read(h * h.detach())
    assert recording.result.operands[0] is recording.result.operands[1]
    assert recording.result.flows == (True, False)


def test_an_array_used_in_a_scope_of_the_user_is_an_input() -> None:
    w = tc.tensor(np.ones(3), requires_grad=True)
    with tc.scope("energy"):
        y = F.relu(w * np.arange(3.0)) - np.ones(3)
    assert [v.kind for v in read(y) if not v.operation and v.shape] == ["variable", *["input"] * 2]


def test_reading_changes_nothing_and_survives_backward() -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    recording = read(y)
    gradients = differentiate(recording)
    assert x.grad is None
    y.backward()
    np.testing.assert_array_equal(gradients.of[recording.vertices[0]], x.grad)
    after = read(y)
    assert after.freed
    assert [v.value is None for v in after] == [False, True, False]
    with pytest.raises(GraphError, match="freed"):
        differentiate(after)


def test_contributions_add_up() -> None:
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x + tc.exp(x) * x).sum()
    recording = read(y)
    gradients = differentiate(recording)
    for vertex, total in gradients.of.items():
        parts = [
            g for (consumer, i), g in gradients.contributions.items()
            if consumer.operands[i] is vertex
        ]  # fmt: skip
        if parts:
            np.testing.assert_allclose(sum(parts), total, rtol=1e-15)
    y.backward()
    np.testing.assert_array_equal(gradients.of[recording.vertices[0]], x.grad)


def test_operands_of_a_composition_are_found_by_name() -> None:
    image, weight = np.ones((1, 1, 3, 3)), tc.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    y = F.conv2d(image, weight=weight)
    recording = read(y)
    scope = y.node.scope
    assert recording.operand(scope, "x").value is image
    assert recording.operand(scope, "weight").node is weight.node
    assert recording.operand(scope, "bias") is None


def test_what_constants_came_from_is_forgotten_with_the_graph() -> None:
    gc.collect()
    before = len(origin._origins)
    image = np.ones((1, 1, 8, 8))
    loss = nn.Conv2d(1, 2, kernel_size=3, padding=1)(image).sum()
    assert len(origin._origins) == before + 2  # pad, im2col
    loss.backward()
    assert len(origin._origins) == before
    del loss


def test_a_constant_that_leaves_a_composition_keeps_nothing_alive() -> None:
    before = len(origin._origins)
    state = tc.tensor(np.ones(3))
    for _ in range(10):
        state = F.softmax(F.relu(state) + 1.0)
    assert len(origin._origins) == before
    with tc.no_grad():
        inner = F.avg_pool2d(np.ones((1, 1, 4, 4)), 2)
    assert origin.origin(inner.data) is None


def test_names_of_the_caller() -> None:
    x = tc.tensor(1.0, requires_grad=True)
    data = np.ones(2)
    constant = tc.tensor([1.0, 2.0])
    _hidden = np.zeros(1)
    names = caller_names(sys._getframe())
    assert all(name.isidentifier() for name in names.values())  # pytest makes others
    assert names[id(x.node)] == "x"
    assert names[id(data)] == "data"
    assert names[id(constant.data)] == "constant"
    assert id(_hidden) not in names


@pytest.mark.parametrize(
    ("value", "error"), [(np.ones(2), DtypeError), (tc.tensor([1.0]), GraphError)]
)
def test_what_can_not_be_read(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="draw"):
        read(value, "draw")


def test_after_backward_a_variable_still_has_its_values_unless_they_were_changed() -> None:
    x, w = (tc.tensor([v, v], requires_grad=True, name=n) for v, n in [(1.0, "x"), (2.0, "w")])
    y = (x * w).sum()
    y.backward()
    with tc.no_grad():
        w += 1.0
    values = {v.name: v.value for v in read(y) if v.name}
    assert values["x"] is x.data
    assert values["w"] is None
