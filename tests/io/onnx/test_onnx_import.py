"""ONNX files as Modules: the same results, gradients, training, and what files may do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_runs import SMALL, agree, evaluated, images, trained_a_bit

import tinygrad_cnn as tc

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")


def _gradients(model: tc.nn.Module, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    model.zero_grad()
    given = tc.tensor(x, requires_grad=True)
    scores = model(given)
    (scores * scores).sum().backward()
    return given.grad.data, {name: p.grad.data for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("resnet18", "googlenet_bn")])
def test_what_was_exported_comes_back(name: str, tmp_path: Path) -> None:
    """To 1e-6 in float64, so that only a wrong formula and no rounding can differ."""
    model = trained_a_bit(tc.models.build(name)).double().eval()
    path = tc.io.export_onnx(model, tmp_path / "m.onnx", (1, *SMALL[name]))
    again = tc.io.import_onnx(path)
    x = images(2, *SMALL[name]).astype(np.float64)
    agree(evaluated(again, x), evaluated(model, x), 1e-6)
    (by_x, by_name), (expected_x, expected) = _gradients(again, x), _gradients(model, x)
    agree([by_x], [expected_x], 1e-6)
    assert by_name.keys() == expected.keys()
    agree([by_name[k] for k in expected], [*expected.values()], 1e-6)
    state = again.state_dict()
    assert all(np.array_equal(state[k], v) for k, v in model.state_dict().items() if k in state)


def test_mnist_8(shared: Path) -> None:
    """The published ConvNet for one image reads 10,000 at once, 98.9 % of them right."""
    file = shared / "weights" / "mnist-8.onnx"
    if not file.is_file():
        pytest.skip("no mnist-8.onnx in the shared folder")
    model = tc.io.import_onnx(file)
    assert model.batch_is_free
    test = tc.data.MNIST(shared / "data", split="test")
    right = 0
    for start in range(0, 10_000, 1000):
        digits = np.asarray(test.images[start : start + 1000], np.float32).reshape(-1, 1, 28, 28)
        digits = digits * (255.0 if digits.max() <= 1.0 else 1.0)
        with tc.no_grad():
            scores = model(digits).data
        right += int((scores.argmax(1) == np.asarray(test.labels[start : start + 1000])).sum())
    assert 9_890 <= right < 9_900


def test_it_is_trained_and_compiled(tmp_path: Path) -> None:
    path = tc.io.export_onnx(tc.models.build("digits"), tmp_path / "m.onnx", (1, 1, 8, 8))
    x, labels = images(32, 1, 8, 8), np.arange(32) % 10
    losses = []
    for compiled in (False, True):
        model = tc.io.import_onnx(path).train()
        optimizer = tc.optim.SGD(model.parameters(), lr=0.1)

        def step(x: tc.Tensor, labels: tc.Tensor, model=model, optimizer=optimizer) -> tc.Tensor:
            optimizer.zero_grad()
            loss = tc.functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        run = tc.compile(step) if compiled else step
        losses.append([float(run(tc.Tensor(x), tc.Tensor(labels)).data) for _ in range(5)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_training_tracks_statistics_and_evaluation_uses_them(tmp_path: Path) -> None:
    net = tc.nn.Sequential(tc.nn.Conv2d(2, 3, 3), tc.nn.BatchNorm2d(3), tc.nn.ReLU())
    path = tc.io.export_onnx(net, tmp_path / "m.onnx", (1, 2, 6, 6))
    model = tc.io.import_onnx(path)
    assert not model.training
    assert {name for name, _ in model.named_buffers()} == {"1.running_mean", "1.running_var"}
    x = images(8, 2, 6, 6)
    agree([net.train()(tc.Tensor(x)).data], [model.train()(tc.Tensor(x)).data])
    agree([net.state_dict()["1.running_var"]], [model.state_dict()["1.running_var"]])
    agree(evaluated(net, x), evaluated(model, x))


# -- files written by hand ---------------------------------------------------------------------


def graph_file(path: Path, nodes: list, shape: tuple, arrays: dict, opset: int = 17) -> Path:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return path


def test_all_that_is_not_supported_is_listed_at_once(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    nodes = [
        node("LSTM", ["x"], ["a"]), node("LSTM", ["a"], ["b"]),
        node("Conv", ["b", "w"], ["c"], wild=1),
        node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], storage_order=1),
        node("MaxPool", ["d"], ["e"]), node("Own", ["e"], ["f"], domain="own.ops"),
        node("Elu", ["f"], ["y"], alpha="one"),
    ]  # fmt: skip
    file = graph_file(tmp_path / "m.onnx", nodes, (1, 1, 8, 8), {"w": images(1, 1, 3, 3)})
    with pytest.raises(tc.errors.DataError) as caught:
        tc.io.import_onnx(file)
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip() for line in lines] == [
        "Conv with the attribute wild=1, 1x",
        "Elu with the attribute alpha='one', which is no float, 1x",
        "LSTM, 2x",
        "MaxPool with storage_order=1, 1x",
        "MaxPool without the attribute kernel_shape, 1x",
        "own.ops.Own, 1x",
    ]


@pytest.mark.parametrize(
    ("nodes", "free"),
    [
        ([("Reshape", ["x", "rows"], {}), ("Relu", [], {})], True),
        ([("Flatten", ["x"], {}), ("Reshape", ["", "rows"], {})], True),
        ([("Transpose", ["x"], {"perm": [1, 0, 2]}), ("Reshape", ["", "rows"], {})], False),
        ([("Reshape", ["x", "rows"], {}), ("Softmax", [], {"axis": 0})], False),
        ([("Reshape", ["x", "rows"], {}), ("Softmax", [], {"axis": 1})], True),
        ([("Reshape", ["x", "rows"], {}), ("Add", ["", "row"], {})], True),
        ([("Reshape", ["x", "rows"], {}), ("Add", ["", "table"], {})], False),
        ([("Reshape", ["x", "line"], {})], False),
        ([("ReduceMean", ["x"], {"axes": [0], "keepdims": 1})], False),
        ([("ReduceMean", ["x"], {"axes": [1], "keepdims": 1})], True),
    ],
)
def test_a_fixed_batch_is_freed_where_that_is_proved(
    nodes: list, free: bool, tmp_path: Path
) -> None:
    """As many results as images, each that of the image alone; else another batch is refused."""
    arrays = {
        "rows": np.array([2, 12]), "line": np.array([24]), "row": images(12),
        "table": images(2, 12),
    }  # fmt: skip
    made, last = [], "x"
    for number, (op, names, attributes) in enumerate(nodes):
        inputs = [name or last for name in names] or [last]
        last = "y" if number == len(nodes) - 1 else f"v{number}"
        made.append(onnx.helper.make_node(op, inputs, [last], **attributes))
    model = tc.io.import_onnx(graph_file(tmp_path / "m.onnx", made, (2, 3, 4), arrays))
    assert model.batch_is_free is free
    x = images(6, 3, 4)
    if not free:
        with pytest.raises(tc.errors.ShapeError, match=r"expected \(2, 3, 4\), got \(6, 3, 4\)"):
            model(x)
        return
    each = np.concatenate([model(x[i : i + 2]).data for i in (0, 2, 4)])
    np.testing.assert_allclose(model(x).data, each, rtol=1e-6)


@pytest.mark.parametrize(
    "names", [["w", "w.a", "w.a.b"], ["forward", "__init__", "-", "a//b", "ä b"]]
)
def test_names_of_any_kind(names: list[str], tmp_path: Path) -> None:
    """Names that hide each other or our own attributes, or are none, become others."""
    node, last, nodes = onnx.helper.make_node, "x", []
    for number, name in enumerate(names):
        nodes.append(node("Add", [last, name], [last := f"v{number}"]))
    nodes.append(node("Relu", [last], ["y"]))
    arrays = {name: np.float32([number]) for number, name in enumerate(names)}
    model = tc.io.import_onnx(graph_file(tmp_path / "m.onnx", nodes, (1,), arrays))
    assert len([*model.parameters()]) == len(names)
    assert model(np.zeros(1, np.float32)).item() == sum(range(len(names)))
