"""What the boxes and edges of a drawn graph say, and how they look."""

from __future__ import annotations

import re

import numpy as np
import pytest
from graphs_to_draw import lenet, square, texts
from resnet18 import resnet18_loss

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._graph import read
from tinygrad_cnn.errors import GraphError
from tinygrad_cnn.ops import flops

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
    y = tc.exp(x)
    view = tc.draw.graph(y, show=["name", "shape", "dtype", "value", "source"])
    assert texts(view)[0] == "x 2x2 float64 value 1, 2 3, 4"
    assert texts(view)[1].startswith("y 2x2 float64 test_graph_boxes.py:")
    assert "y = tc.exp(x) value 2.72, 7.39 20.1, 54.6" in texts(view)[1]
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


def test_constants_are_called_by_their_value():
    x = tc.tensor(1.0, requires_grad=True, name="x")
    y = tc.where(np.bool_(True), x * 3, 0.123456) + np.float32(2.5)
    view = tc.draw.graph(y, "primitives")
    assert {box.name for box in view.boxes if box.kind == "constant"} == {
        "True", "3", "0.1235", "2.5"
    }  # fmt: skip


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
    assert texts(view)[0] == "x value 1, 2 gradient 60.3, 1.21e+03"
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
    assert texts(tc.draw.graph(y, show="gradient"))[0] == "x gradient 2, 4"
    view = tc.draw.graph(y, show="gradient", backward=True)
    assert texts(view) == ["x gradient 2, 4", "multiply gradient 1, 1", "y = sum gradient 1"]
    assert x.grad.numpy().tolist() == [2.0, 4.0]


def test_gradients_of_an_array_are_those_of_its_sum():
    x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    view = tc.draw.graph(x * x, show="gradient", backward=True)
    assert view.note == "gradients of the sum of the result"
    assert texts(view)[0] == "x gradient 2, 4"
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


def test_a_row_of_numbers_is_wrapped_behind_a_comma():
    x = tc.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    assert texts(tc.draw.graph(x, show="value")) == ["x value 1, 2, 3, 4"]


def test_a_long_name_is_cut_and_whole_in_the_hint():
    x = tc.tensor(1.0, requires_grad=True, name="L" * 3000)
    with tc.scope("S" * 3000):
        y = tc.exp(tc.exp(x))
    for zoom in ("functions", "primitives"):
        view = tc.draw.graph(y * 2.0, zoom)
        assert view.boxes[0].name == "L" * 3000
        assert texts(view)[0] == f"{'L' * 43}… scalar"
        labels = re.sub(r'tooltip="?\w+[^"\]]*', "", view.dot)
        assert max(map(len, re.findall(r"[LS]+", labels))) == 43
        assert "L" * 3000 in view.dot
        assert "S" * 3000 in view.dot


# -- values that are no longer those that were computed with -----------------------------------


def test_a_variable_that_was_changed_since_shows_no_value():
    p = tc.tensor([1.0, 2.0], requires_grad=True, name="p")
    row = p.reshape(1, 2)  # shares its memory
    z = (row * p).sum()
    assert texts(tc.draw.graph(z, show=["value"]))[0] == "p value 1, 2"
    with tc.no_grad():
        p += 10.0
    view = tc.draw.graph(z, show=["value"])
    assert texts(view) == [
        "p value changed since",
        "row = reshape value changed since",
        "multiply value 1, 4",
        "z = sum value 5",
    ]
    assert "changed in place since" in view.note
    assert "changed" not in tc.draw.graph(z).note
    changed = [vertex.operation or vertex.name for vertex in read(z) if vertex.changed]
    assert changed == ["p", "reshape"]
    assert texts(tc.draw.graph((p * p).sum(), show=["value"]))[0] == "p value 11, 12"


def test_a_change_between_two_uses_counts():
    p = tc.tensor([1.0, 2.0], requires_grad=True, name="p")
    doubled = p * 2.0
    with tc.no_grad():
        p += 10.0
    z = (doubled * p).sum()
    assert texts(tc.draw.graph(z, show=["value"]))[0] == "p value changed since"


def test_a_change_after_backward_counts():
    p = tc.tensor([1.0, 2.0], requires_grad=True, name="p")
    z = (p * 2.0).sum()
    z.backward()
    assert texts(tc.draw.graph(z, show=["value"]))[0] == "p value 1, 2"
    with tc.no_grad():
        p += 10.0
    assert texts(tc.draw.graph(z, show=["value"]))[0] == "p value changed since"


def test_no_gradients_are_found_beside_changed_values():
    p = tc.tensor([1.0, 2.0], requires_grad=True, name="p")
    q = tc.tensor([1.0, 2.0], requires_grad=True, name="q")
    z = (tc.sign(p * 2.0) + q).sum()  # no gradient reaches p
    with tc.no_grad():
        p += 10.0
    with pytest.raises(GraphError, match="p was changed in place"):
        tc.draw.graph(z, backward=True)


# -- graphs that Graphviz would take minutes for -----------------------------------------------


def chain(steps):
    x = tc.tensor(1.0, requires_grad=True, name="x")
    y = x
    for i in range(steps):
        y = y * 1.001 if i % 2 else y + x
    return y


def lengths(view):
    """How many boxes each drawn line spans, but for those that start at a copy."""
    ends = re.findall(r"^\s*n(\d+) -> n(\d+) ", view.dot, re.M)
    return [int(end) - int(start) for start, end in ends]


def test_far_consumers_have_a_copy_of_what_they_are_given():
    view = tc.draw.graph(chain(150), backward=True)
    [x] = [box for box in view.boxes if box.name == "x"]
    uses = [edge for edge in view.edges if edge.start is x]
    assert len(uses) == 75
    copies = re.findall(r"^\s*(n0_\d+) \[label", view.dot, re.M)
    near = re.findall(r"^\s*n0 -> n\d+ .*weight=1", view.dot, re.M)
    assert len(near) + len(copies) == 75
    assert max(lengths(view)) <= 16
    for copy in copies:  # one line to one consumer, and its gradient
        assert len(re.findall(rf"^\s*{copy} -> ", view.dot, re.M)) == 2
    assert "same box as above" in view.dot
    assert "same box as above" not in tc.draw.graph(lenet()).dot
    assert "↑" not in tc.draw.graph(resnet18_loss(), backward=True).dot


def test_far_results_have_copies_too():
    y = first = tc.tensor(1.0, requires_grad=True) * 2.0
    for _ in range(100):
        y = tc.tanh(y)
    view = tc.draw.graph(y + first)
    assert max(lengths(view)) == 2  # past the constant that the first is multiplied by
    assert len(view.edges) == 104
    assert len(re.findall(r"↑ first = multiply", view.dot)) == 1
