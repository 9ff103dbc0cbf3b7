"""What a drawn graph holds: boxes, edges, gradients, and what the boxes say."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest
from resnet18 import resnet18_loss

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._graph import differentiate, read
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tinygrad_cnn.ops import flops

ZOOMS = ("layers", "functions", "primitives")


# -- nets to draw --------------------------------------------------------------------------


def lenet():
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    images = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    return F.cross_entropy(model(images), [0, 1])


class Residual(nn.Module):
    """Two blocks with a way around each, and one layer used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = x + F.relu(self.first(x))
        return x + self.second(F.tanh(self.second(x)))


def residual():
    model = Residual()
    return F.mse_loss(model(np.random.default_rng(0).random((3, 4), np.float32)), np.zeros((3, 4)))


def shared_parameter():
    tc.manual_seed(0)
    encoder = nn.Linear(3, 2, bias=False)
    x = np.random.default_rng(0).random((5, 3), np.float32)
    return ((encoder(x) @ encoder.weight - x) ** 2).sum()


def square():
    x = tc.tensor([1.0, -2.0, 3.0], requires_grad=True, name="x")
    return (x * x).sum()


def two_outputs():
    """A scope of which two arrays leave, one of them used inside of it, too."""
    x = tc.tensor([0.5, 2.0], requires_grad=True, name="x")
    with tc.scope("pair"):
        e = tc.exp(x)
        s = e * e
    return (s + e * e.detach() * x).sum()


NETS = [lenet, residual, shared_parameter, square, two_outputs]


def texts(view):
    """The text of each box."""
    found = []
    for number in range(len(view.boxes)):
        label = re.search(rf"^\s*n{number} \[label=<(.*?)> \w+=", view.dot, re.M)[1]
        found.append(" ".join(html.unescape(re.sub(r"<[^<>]*>", " ", label)).split()))
    return found


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
        "a value freed gradient 36",
        "b = multiply value 6 gradient not kept",
        "d = multiply value 36 gradient not kept",
    ]
    assert "after backward" in view.note


# -- what a box says -------------------------------------------------------------------------


def test_settings_that_differ_from_the_default_are_shown():
    x = tc.ones(1, 1, 6, 6, requires_grad=True)
    pooled = F.max_pool2d(x, (2, 2), stride=(2, 1))
    assert texts(tc.draw.graph(pooled))[-1] == (
        "pooled = max_pool2d 1x1x3x5 kernel_size=2, stride=(2, 1)"
    )
    chosen = x[0, 0, 1:3, ::2]
    assert texts(tc.draw.graph(chosen))[-1] == "chosen = getitem 2x3 index=(0, 0, 1:3, ::2)"


def test_a_box_shows_what_is_asked_for():
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="x")
    y = tc.exp(x)  # the line
    view = tc.draw.graph(y, show=["name", "shape", "dtype", "value", "source"])
    assert texts(view)[0] == "x 2x2 float64 value 1 2 3 4"
    assert texts(view)[1].startswith("y 2x2 float64 test_graph.py:")
    assert "y = tc.exp(x) # the line value 2.72 7.39 20.1 54.6" in texts(view)[1]
    assert texts(tc.draw.graph(y, show="op")) == ["variable", "exp"]
    assert texts(tc.draw.graph(y, show="dtype")) == ["x float64", "y = exp float64"]
    assert texts(tc.draw.graph(y, show="flops"))[1] == "y = exp 4 FLOP"


def test_large_arrays_are_maps_of_few_cells():
    x = tc.tensor(np.linspace(-1.0, 1.0, 1000).reshape(10, 100), requires_grad=True)
    view = tc.draw.graph(x * 1.0, show=["value"])
    cells = re.findall(r'BGCOLOR="(#\w+)" WIDTH="3"', view.dot)
    assert len(cells) == 2 * 10 * 10  # of two arrays; a cell is the mean of ten elements
    assert cells[0] == "#0c3d79"  # blue
    assert cells[-1] == "#8c4001"  # orange
    hot = tc.tensor(np.array([1.0, np.nan, np.inf] * 3), requires_grad=True)
    assert "#b0178f" in tc.draw.graph(hot * 1.0, show=["value"]).dot
    empty = tc.tensor(np.ones((0, 3)), requires_grad=True)
    assert texts(tc.draw.graph(empty * 1.0, show=["value"]))[0].endswith("value empty")


def test_memory_counts_what_operations_share_once():
    x = tc.tensor(np.ones(1000), requires_grad=True)
    y = (x * x).reshape(10, 100)
    view = tc.draw.graph(tc.exp(y), "primitives", show=["memory"])
    # x and x * x; x * x and a view of it; that view and the result
    assert texts(view)[1:] == ["multiply keeps 15.6 KiB", "y = reshape keeps 7.8 KiB",
                               "exp keeps 15.6 KiB"]  # fmt: skip
    assert view.note == "kept for backward: 23.4 KiB"
    mean = x[::2].sum()  # reaches over all of x
    assert "keeps 7.8 KiB" in texts(tc.draw.graph(mean, "primitives", show=["memory"]))[1]
    wide = tc.broadcast_to(x, (100, 1000)) * 2.0
    assert "keeps 7.8 KiB" in texts(tc.draw.graph(wide, "primitives", show=["memory"]))[1]


def test_flops_are_those_of_the_primitives():
    loss = lenet()
    view = tc.draw.graph(loss, show=["flops", "name"])
    total = sum(
        flops(v.operation, [o.shape for o in v.operands], v.shape, v.params)
        for v in read(loss)
        if v.operation
    )
    assert f"{total / 1e6:.1f} MFLOP" in view.note
    assert "conv1 479.8 kFLOP" in texts(view)  # 2 images x 6 x 28 x 28 x (2 x 25 + 1)
    own = tc.primitive("my_square", lambda x: x * x, (lambda g, ans, x: 2 * g * x,))
    y = own(tc.tensor(3.0, requires_grad=True))
    assert texts(tc.draw.graph(y, show=["flops"]))[1] == "y = my_square FLOPs not known"
    assert texts(tc.draw.graph(y, show=["time"]))[1].startswith("y = my_square ")


def test_time_is_that_of_the_operations():
    loss = lenet()
    pattern = r"conv1: conv2d [\d.e-]+ ms, back [\d.e-]+ ms"
    assert any(re.fullmatch(pattern, text) for text in texts(tc.draw.graph(loss, show=["time"])))
    loss.backward()
    assert "conv1: conv2d time: freed" in texts(tc.draw.graph(loss, show=["time"]))


def test_a_vertex_is_called_by_its_own_name_else_by_the_variable():
    weights = tc.tensor(1.0, requires_grad=True, name="w")
    bias = tc.tensor(1.0, requires_grad=True)
    images = np.ones((2, 3))
    with tc.scope("energy"):
        scores = tc.as_tensor(images) * weights + bias
    assert [box.name for box in tc.draw.graph(scores).boxes] == ["w", "bias", "images", ""]
    assert texts(tc.draw.graph(scores))[-1] == "scores = energy 2x3"


def test_a_box_is_never_nameless():
    assert texts(tc.draw.graph(square(), show=[])) == ["x", "multiply", "sum"]
    x = tc.tensor(1.0, requires_grad=True)
    assert texts(tc.draw.graph(tc.tensor(2.0, requires_grad=True) * 1.0, show=[]))[0] == "variable"
    assert [box.kind for box in tc.draw.graph(x).boxes] == ["variable"]


# -- backward --------------------------------------------------------------------------------


def back(view):
    """The lines of the DOT text that lead backward."""
    return [line for line in view.dot.splitlines() if "dir=back" in line]


def test_every_edge_that_is_differentiated_has_one_back():
    loss = lenet()
    assert not back(tc.draw.graph(loss))
    view = tc.draw.graph(loss, backward=True)
    assert len(back(view)) == sum(bool(edge.differentiated) for edge in view.edges) == 22
    assert all("style=dashed" in line and "weight=0" in line for line in back(view))
    assert any('label="2x6x28x28"' in line or "label=2x6x28x28" in line for line in back(view))
    norms = back(tc.draw.graph(loss, backward=True, show=["norm"]))
    assert all(re.search(r'label="norm [\d.e-]+"', line) for line in norms)


def test_after_backward_the_gradients_are_drawn_and_leaves_show_theirs():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = tc.exp(x * 3.0).sum()
    assert not back(tc.draw.graph(y))
    y.backward()
    view = tc.draw.graph(y, show=["value", "gradient"])
    assert len(back(view)) == 3
    assert texts(view)[0] == "x value freed gradient 60.3 1.21e+03"
    assert texts(view)[1] == "multiply value freed gradient not kept"
    assert "backward(retain_graph=True)" in view.note
    assert "backward(retain_graph=True)" in view.dot
    assert not back(tc.draw.graph(y, backward=False))
    assert tc.draw.graph(y, backward=True).dot == tc.draw.graph(y).dot
    assert all("norm: freed" in line for line in back(tc.draw.graph(y, show="norm")))


def test_a_retained_graph_is_walked_again():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = (x * x).sum()
    y.backward(retain_graph=True)
    assert texts(tc.draw.graph(y, show="gradient"))[0] == "x gradient 2 4"
    view = tc.draw.graph(y, show="gradient", backward=True)
    assert texts(view) == ["x gradient 2 4", "multiply gradient 1 1", "y = sum gradient 1"]
    assert x.grad.numpy().tolist() == [2.0, 4.0]


def test_gradients_of_an_array_are_those_of_its_sum():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    view = tc.draw.graph(x * x, show="gradient", backward=True)
    assert view.note == "gradients of the sum of the result"
    assert texts(view)[0] == "x gradient 2 4"
    assert texts(tc.draw.graph(x * x, show="gradient"))[0] == "x gradient none yet"


def test_a_detached_edge_looks_different():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    h = x * 2.0
    y = (h * h.detach()).sum()
    view = tc.draw.graph(y, backward=True)
    kinds = [
        (edge.detached, bool(edge.differentiated)) for edge in view.edges if edge.start.name == "h"
    ]
    assert kinds == [(False, True), (True, False)]
    [line] = [line for line in view.dot.splitlines() if "arrowhead=tee" in line]
    assert "style=dotted" in line
    assert 'label="no gradient"' in line


def test_where_no_gradient_arrives_none_returns():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    steps = tc.sign(x * 2.0)
    view = tc.draw.graph((x + steps).sum(), backward=True, show=["gradient", "op"])
    edges = {edge.end.vertices[0].operation: edge for edge in view.edges}
    assert edges["sign"].detached
    edges = {edge.end.vertices[0].operation: edge for edge in view.edges if edge.start.name == "x"}
    assert edges["add"].differentiated
    assert not edges["multiply"].differentiated
    assert "multiply gradient none" in texts(view)


# -- how it looks ------------------------------------------------------------------------------


def test_kinds_differ_in_more_than_colour():
    x = tc.tensor(np.ones((2, 3)), requires_grad=True)
    y = F.linear(x * 2.0, nn.Parameter(np.ones((4, 3)))) * np.ones(4) + 1.0
    view = tc.draw.graph(y)
    kinds = {box.kind for box in view.boxes}
    assert kinds == {"parameter", "variable", "input", "constant", "operation", "result"}
    shapes = set()
    for number, box in enumerate(view.boxes):
        line = re.search(rf"^\s*n{number} \[(.*)\]", view.dot, re.M)[1]
        attributes = re.findall(
            r'(shape|style|peripheries)=("[^"]*"|\w+)', re.sub("<.*>", "", line)
        )
        shapes.add((box.kind, tuple(sorted(attributes))))
    assert len(shapes) == len({look for _, look in shapes}) == 6


def test_the_legend_tells_the_kinds_that_occur():
    loss = lenet()
    view = tc.draw.graph(loss, backward=True)
    assert set(re.findall(r"legend_(\w+) \[label=(\w+)", view.dot)) == {
        (kind, kind) for kind in ("parameter", "input", "operation", "result")
    }
    assert "cluster_legend" in view.dot
    assert "legend" not in tc.draw.graph(loss, legend=False).dot


def test_the_same_graph_is_the_same_text():
    loss = resnet18_loss()
    assert tc.draw.graph(loss, backward=True).dot == tc.draw.graph(loss, backward=True).dot


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
        ({"depth": 2}, "depth folds layers, not zoom='functions'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        tc.draw.graph(lenet(), **arguments)


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
