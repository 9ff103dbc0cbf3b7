"""Pictures of recorded graphs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError


def lenet_loss():
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    return F.cross_entropy(model(tc.zeros(2, 1, 28, 28, dtype="float32")), [0, 1])


def captions(view):
    return [box.lines[0] for box in view.boxes.values()]


def test_functions_are_single_boxes():
    found = captions(tc.draw.graph(lenet_loss()))
    assert [name for name in found if name.endswith("conv2d")] == ["conv1: conv2d", "conv2: conv2d"]
    assert found.count("relu") == 4
    assert found[-1] == "cross_entropy"
    assert "matmul" not in found


def test_layers_are_named_after_their_attributes():
    found = captions(tc.draw.graph(lenet_loss(), zoom="layers"))
    assert {"conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"} <= set(found)


def test_a_convolution_opens_to_its_primitives():
    x = tc.ones(1, 1, 4, 4)
    weight = tc.ones(1, 1, 3, 3, requires_grad=True)
    bias = tc.ones(1, requires_grad=True)
    view = tc.draw.graph(F.conv2d(x, weight, bias, padding=1), zoom="primitives")
    assert {"reshape", "matmul", "add", "transpose"} <= set(captions(view))


def test_edges_carry_the_shapes_of_what_flows():
    view = tc.draw.graph(lenet_loss())
    names = {key: box.lines[0] for key, box in view.boxes.items()}
    shapes = {(names[a], names[b]): shape for (a, b), shape in view.edges.items()}
    assert shapes["conv1.weight", "conv1: conv2d"] == (6, 1, 5, 5)
    assert shapes["conv1: conv2d", "relu"] == (2, 6, 28, 28)
    assert shapes["fc3: linear", "cross_entropy"] == (2, 10)


def test_settings_that_differ_from_the_default_are_shown():
    x = tc.ones(1, 1, 6, 6, requires_grad=True)
    view = tc.draw.graph(F.max_pool2d(x, (2, 2), stride=(2, 1)))
    assert list(view.boxes.values())[-1].lines == (
        "max_pool2d",
        "kernel_size=2, stride=(2, 1)",
        "1x1x3x5",
    )


def test_the_picture_is_the_same_after_backward():
    loss = lenet_loss()
    before = tc.draw.graph(loss).dot
    loss.backward()
    assert tc.draw.graph(loss).dot == before


def test_labels_are_text_whatever_they_hold():
    x = tc.tensor(1.0, requires_grad=True, name='<script>"\\')
    dot = tc.draw.graph(x * 2).dot
    assert "label=<" not in dot
    if shutil.which("dot"):
        picture = tc.draw.graph(x * 2)._repr_mimebundle_()["image/svg+xml"]
        assert "<script>" not in picture
        assert "&lt;script&gt;" in picture


def test_without_a_renderer_the_text_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    x = tc.tensor(1.0, requires_grad=True)
    written = tc.draw.graph(x * 2).save(tmp_path / "picture")
    assert written == tmp_path / "picture.dot"
    assert written.read_text().startswith("digraph")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.dot"]


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz's dot is not installed")
def test_with_a_renderer_a_picture_is_written(tmp_path):
    x = tc.tensor(1.0, requires_grad=True)
    written = tc.draw.graph(x * 2).save(tmp_path / "picture")
    assert written.suffix == ".svg"
    assert "<svg" in written.read_text()


def test_what_was_not_recorded_has_no_graph():
    with pytest.raises(GraphError, match="not recorded"):
        tc.draw.graph(tc.tensor(1.0))
    with pytest.raises(DtypeError, match=r"draw\.graph: expected a Tensor, got ndarray"):
        tc.draw.graph(np.ones(2))
    with pytest.raises(ArgumentError, match="zoom='near'"):
        tc.draw.graph(tc.tensor(1.0, requires_grad=True) * 2, zoom="near")
