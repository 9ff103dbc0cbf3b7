"""Folding a recorded graph: four zooms, nothing lost, large graphs, mistakes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from graphs_to_draw import NETS, lenet, square, texts
from resnet18 import resnet18_loss

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._graph import differentiate, read
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError, ShapeError

ZOOMS = ("layers", "functions", "primitives")


# -- nothing is lost by folding --------------------------------------------------------------


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("net", NETS)
def test_every_use_of_an_array_is_inside_a_box_or_on_one_edge(net, zoom):
    y = net()
    view = tc.draw.graph(y, zoom)
    vertices = [vertex for box in view.boxes for vertex in box.vertices]
    place = {vertex: box for box in view.boxes for vertex in box.vertices}
    assert len(vertices) == len(set(vertices)) == len(read(y).vertices)
    on_edges = [use for edge in view.edges for use in edge.uses]
    assert len(on_edges) == len(set(on_edges))
    for vertex in vertices:
        for i, operand in enumerate(vertex.operands):
            assert (place[vertex] is place[operand]) == ((vertex, i) not in on_edges)
    for edge in view.edges:
        assert len(edge.arrays) == len(set(edge.arrays))
        for array in edge.arrays:
            assert place[array] is edge.start
            assert array in edge.start.outputs
        assert all(place[user] is edge.end for user, _ in edge.uses)


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("net", NETS)
def test_gradients_add_up(net, zoom):
    y = net()
    view = tc.draw.graph(y, zoom, backward=True)
    recording = read(y)
    gradients = differentiate(recording)
    inner = {
        (user.node, i): user.operands[i].node
        for box in view.boxes
        for user in box.vertices
        for i, operand in enumerate(user.operands)
        if operand in box.vertices
    }
    totals = {}
    for (user, i), g in gradients.contributions.items():
        if (user.node, i) in inner:
            totals.setdefault(user.operands[i].node, []).append(g)
    for edge in view.edges:
        for array, g in edge.gradients.items():
            totals.setdefault(array.node, []).append(g)
    for vertex, total in gradients.of.items():
        if vertex is not recording.result:
            np.testing.assert_allclose(sum(totals[vertex.node]), total, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("net", NETS)
def test_edges_of_a_leaf_return_what_backward_gives_it(net, zoom):
    y = net()
    view = tc.draw.graph(y, zoom, backward=True)
    y.backward()
    leaves = [box for box in view.boxes if box.kind in ("parameter", "variable")]
    assert leaves
    for box in leaves:
        [leaf] = box.vertices
        edges = [edge for edge in view.edges if edge.start is box]
        returned = sum(edge.gradients[leaf] for edge in edges if edge.gradients)
        np.testing.assert_allclose(returned, leaf.node.grad, rtol=1e-5, atol=1e-8)


def test_an_array_used_twice_by_one_consumer_flows_once_and_returns_twice():
    view = tc.draw.graph(square(), backward=True)
    edge = view.edges[0]
    [x] = edge.arrays
    assert [i for _, i in edge.uses] == [0, 1]
    np.testing.assert_array_equal(edge.gradients[x], [2.0, -4.0, 6.0])
    assert all(g.shape == (3,) for g in edge.contributions.values())


def test_drawing_changes_nothing():
    tc.manual_seed(0)
    model = tc.models.LeNet5()
    loss = F.cross_entropy(model(np.ones((1, 1, 28, 28), np.float32)), [0])
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    show = ("value", "gradient", "memory", "time", "flops", "norm", "source", "dtype")
    tc.draw.graph(loss, "primitives", show=show, backward=True)
    assert all(p.grad is None for p in model.parameters())
    loss.backward()
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.numpy(), before[name])
        assert np.isfinite(p.grad.numpy()).all()


# -- four zooms ------------------------------------------------------------------------------


def test_functions_are_single_boxes():
    found = texts(tc.draw.graph(lenet()))
    convolutions = [text for text in found if "conv2d" in text]
    assert convolutions == ["conv1: conv2d 2x6x28x28 padding=2", "conv2: conv2d 2x16x10x10"]
    assert sum(text.startswith("relu ") for text in found) == 4
    assert found[-1] == "cross_entropy scalar"
    assert not [text for text in found if "matmul" in text]


def test_layers_are_named_after_their_attributes():
    found = texts(tc.draw.graph(lenet(), zoom="layers"))
    assert "conv1: Conv2d 2x6x28x28 padding=2" in found
    assert "pool1: MaxPool2d 2x6x14x14 kernel_size=2, stride=2" in found
    assert "fc3: Linear 2x10" in found
    assert "fc3.weight 10x84" in found


@pytest.mark.parametrize("recorded", [True, False])
def test_a_convolution_opens_to_its_primitives(recorded):
    x = tc.tensor(np.ones((1, 1, 4, 4)), requires_grad=recorded)
    weight, bias = tc.ones(2, 1, 3, 3, requires_grad=True), tc.ones(2, requires_grad=True)
    y = F.conv2d(x, weight, bias, padding=1)
    assert texts(tc.draw.graph(y))[-1] == "y = conv2d 1x2x4x4 padding=1"
    view = tc.draw.graph(y, "primitives", backward=True)
    names = {box: box.vertices[0].operation or box.name for box in view.boxes}
    edges = {(names[edge.start], names[edge.end]): edge for edge in view.edges}
    for pair in [("x", "pad"), ("pad", "im2col"), ("im2col", "matmul")]:
        assert bool(edges[pair].differentiated) == recorded
        assert not edges[pair].detached
    assert edges["matmul", "reshape"].differentiated
    assert edges["reshape", "add"].differentiated
    assert [array.shape for array in edges["pad", "im2col"].arrays] == [(1, 1, 6, 6)]
    assert [array.shape for array in edges["im2col", "matmul"].arrays] == [(9, 16)]


def test_a_call_can_be_opened_alone():
    loss = lenet()
    view = tc.draw.graph(loss, open=["conv2"])
    operations = {box.vertices[0].operation for box in view.boxes if box.scope is None}
    assert {"im2col", "matmul", "add"} <= operations
    assert "conv1: conv2d 2x6x28x28 padding=2" in texts(view)
    assert not [text for text in texts(view) if text.startswith("conv2: conv2d")]
    assert 'label="conv2: conv2d"' in view.dot  # the frame around them
    assert "weight 16x6x5x5" in texts(view)  # which says whose weight it is
    assert len(tc.draw.graph(loss, "layers", open="conv2").boxes) == len(view.boxes)
    assert len(tc.draw.graph(loss, open="relu").boxes) == len(tc.draw.graph(loss).boxes) + 4


def test_depth_folds_blocks_with_their_parameters():
    loss = resnet18_loss()
    view = tc.draw.graph(loss, "layers", depth=3)
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert [box.name for box in view.boxes if "." in box.name] == blocks
    assert {box.kind for box in view.boxes} == {"input", "operation", "result"}
    whole = tc.draw.graph(loss, "layers", depth=1)
    assert texts(whole)[1:] == ["ResNet18 2x10", "loss = cross_entropy scalar"]


def test_numbers_with_values_and_gradients():
    a, b = tc.tensor(2.0, requires_grad=True), tc.tensor(-3.0, requires_grad=True)
    c = a * b
    d = c + 10.0
    view = tc.draw.graph(d, "numbers", backward=True)
    assert texts(view) == [
        "a value 2 gradient -3",
        "b value -3 gradient 2",
        "c = multiply value -6 gradient 1",
        "10 value 10",
        "d = add value 4 gradient 1",
    ]
    labels = re.findall(r'label="?([-\d.]+)"? color="#c2410c"', view.dot)
    assert sorted(labels, key=float) == ["-3", "1", "2"]
    assert texts(tc.draw.graph(d, "numbers"))[0] == "a value 2"


def test_numbers_after_backward():
    a = tc.tensor(2.0, requires_grad=True)
    b = a * 3.0
    d = b * b
    d.backward()
    view = tc.draw.graph(d, "numbers")
    assert texts(view) == [
        "a value 2 gradient 36",
        "b = multiply value 6 gradient not kept",
        "d = multiply value 36 gradient not kept",
    ]
    assert "after backward" in view.note


# -- large graphs ------------------------------------------------------------------------------


def drawn(view):
    return sum(len(box.vertices) for box in view.boxes)


@pytest.mark.parametrize("zoom", [*ZOOMS, "numbers"])
def test_a_long_chain_shows_its_ends(zoom):
    x = tc.tensor(1.0, requires_grad=True, name="x")
    y = x
    for _ in range(4000):
        y = y * 0.5
    view = tc.draw.graph(y, zoom)
    assert len(view.boxes) < 110
    assert drawn(view) == 8001
    assert "8,001 boxes at the zoom" in view.note
    assert "8,001 boxes at the zoom" in view.dot
    [rest] = [text for text in texts(view) if text.startswith("…")]
    assert rest.startswith("… 3,950 more")
    assert [box.kind for box in view.boxes if box.kind == "result"]


def test_a_great_number_of_variables_is_folded():
    many = [tc.tensor(float(i), requires_grad=True) for i in range(4000)]
    view = tc.draw.graph(tc.stack(many).sum(), "primitives")
    assert len(view.boxes) == 28
    assert drawn(view) == 4002
    [rest] = [box for box in view.boxes if box.name.startswith("… 3,975 more")]
    assert rest.kind == "variable"


def test_a_large_net_is_folded_to_functions():
    loss = resnet18_loss()
    view = tc.draw.graph(loss, "primitives")
    assert view.note.endswith("more than 500: folded to functions")
    assert len(view.boxes) == len(tc.draw.graph(loss).boxes)
    assert len(view.boxes) < 140
    assert drawn(view) == len(read(loss).vertices)


def test_a_deep_net_is_folded_to_what_holds_its_layers():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(
                *(nn.Sequential(*(nn.Linear(2, 2) for _ in range(20))) for _ in range(30))
            )

        def forward(self, x):
            return self.blocks(x)

    view = tc.draw.graph(Deep()(np.ones((1, 2), np.float32)).sum(), backward=True)
    assert view.note == "1,802 boxes at the zoom 'functions', more than 500: folded to calls 3 deep"
    assert [box.name for box in view.boxes] == ["x", *(f"blocks.{i}" for i in range(30)), ""]


def test_a_graph_of_500_boxes_is_drawn_as_it_is():
    x = tc.tensor(np.ones(2), requires_grad=True, name="x")
    y = x
    for _ in range(499):
        y = tc.tanh(y)
    view = tc.draw.graph(y)
    assert len(view.boxes) == 500
    assert not view.note
    assert tc.draw.graph(tc.tanh(y)).note


# -- mistakes ----------------------------------------------------------------------------------


def test_what_was_not_recorded_has_no_graph():
    with pytest.raises(GraphError, match=r"draw\.graph: this Tensor was not recorded"):
        tc.draw.graph(tc.tensor(1.0))
    with pytest.raises(DtypeError, match=r"draw\.graph: expected a Tensor, got ndarray"):
        tc.draw.graph(np.ones(2))
    with pytest.raises(DtypeError, match="got the module LeNet5: pass what it returns"):
        tc.draw.graph(tc.models.LeNet5())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoom": "near"}, "zoom='near', expected one of 'layers', 'functions'"),
        ({"zoom": None}, "zoom=None"),
        ({"show": ["colour"]}, "show has 'colour', it knows 'name', 'op', 'source', 'shape'"),
        ({"show": "colour"}, "show has 'colour'"),
        ({"show": 3}, r"show=3, expected names such as \['value'\]"),
        ({"backward": "yes"}, "backward='yes', expected True, False or None"),
        ({"legend": None}, "legend=None, expected True or False"),
        ({"open": ["conv9"]}, "open has 'conv9', no call of 'LeNet5', 'conv1'"),
        ({"open": 1}, "open=1, expected names"),
        ({"zoom": "layers", "depth": 0}, "depth=0, expected an integer of at least 1"),
        ({"zoom": "layers", "depth": True}, "depth=True, expected an integer"),
        ({"depth": 2}, "depth folds layers, not zoom='functions'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        tc.draw.graph(lenet(), **arguments)


def test_nothing_to_open():
    with pytest.raises(ArgumentError, match="open has 'zzz', and no call was recorded to open"):
        tc.draw.graph(square(), open=["zzz"])


def test_numbers_need_numbers():
    with pytest.raises(ShapeError, match=r"'x' has the shape \(3,\).*show=\('value',\)"):
        tc.draw.graph(square(), "numbers")


def test_a_variable_that_was_changed_since_has_no_gradient():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = (x * x).sum()
    with tc.no_grad():
        x += 1.0
    assert tc.draw.graph(y).boxes
    with pytest.raises(GraphError, match="x was changed in place"):
        tc.draw.graph(y, backward=True)
