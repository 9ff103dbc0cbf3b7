"""Models written as ONNX compute in a released runtime what they compute here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_runs import LARGE, SMALL, Function, agree, evaluated, images, run, trained_a_bit

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")


def _check(model: tc.nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    tc.io.export_onnx(model, path, (1, *shape))
    for n in (1, 3):
        x = images(n, *shape)
        agree(run(path, x), evaluated(model, x))


def test_the_list_of_models_is_whole() -> None:
    assert sorted({*SMALL, *LARGE}) == tc.models.model_names()


@pytest.mark.parametrize("name", SMALL)
def test_small_models(name: str, tmp_path: Path) -> None:
    _check(trained_a_bit(tc.models.build(name)), tmp_path / "m.onnx", SMALL[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_models(name: str, tmp_path: Path) -> None:
    _check(trained_a_bit(tc.models.build(name)), tmp_path / "m.onnx", LARGE[name])


def test_the_file_has_our_names_and_a_free_batch(tmp_path: Path) -> None:
    model = tc.models.build("cifar_resnet20")
    path = tc.io.export_onnx(model, tmp_path / "net", (1, 3, 32, 32), metadata={"classes": "10"})
    assert path == tmp_path / "net.onnx"
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert (file.ir_version, file.opset_import[0].version) == (8, 17)
    names = {i.name for i in file.graph.initializer}
    assert names == {k for k in model.state_dict() if not k.endswith("num_batches_tracked")}
    for value in (*file.graph.input, *file.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [i.name for i in file.graph.input] == ["input"]
    assert [o.name for o in file.graph.output] == ["output"]
    assert {p.key: p.value for p in file.metadata_props} == {"classes": "10"}
    kinds = {node.op_type for node in file.graph.node}
    assert {"Conv", "BatchNormalization", "Relu", "Add", "GlobalAveragePool"} <= kinds


def test_the_mode_of_each_module_stays(tmp_path: Path) -> None:
    model = tc.models.build("cifar_resnet20").train()
    model.bn1.eval()
    before = model.state_dict()
    tc.io.export_onnx(model, tmp_path / "m.onnx", (2, 3, 32, 32))
    assert model.training
    assert model.layer1.training
    assert not model.bn1.training
    assert all(np.array_equal(v, before[k]) for k, v in model.state_dict().items())


def _positive(x: Any) -> Any:
    return tc.abs(x) + 0.5


OPERATIONS: dict[str, Any] = {
    "arithmetic": lambda x: (x + 1.0) * 2.0 - x / 3.0 + 1.0 / _positive(x) - (-x),
    "power": lambda x: _positive(x) ** 2.5 + x**2,
    "extrema": lambda x: tc.maximum(x, 0.1) + tc.minimum(x, np.float32([0.2, 0.3, 0.1, 0.4, 0.5])),
    "clip": lambda x: tc.clip(x, -0.5, 0.5),
    "functions": lambda x: tc.exp(x) + tc.log(_positive(x)) + tc.sqrt(_positive(x)) + tc.sin(x),
    "more functions": lambda x: tc.cos(x) + tc.tanh(x) + tc.sigmoid(x) + tc.erf(x) + tc.abs(x),
    "steps": lambda x: tc.sign(x) + tc.floor(x) + tc.round(x),
    "where": lambda x: tc.where(x > 0.0, x, x * 0.5) + tc.where(x <= 0.3, 1.0, x),
    "comparisons": lambda x: tc.where((x > 0.0) & (x < 1.0), 1.0, tc.where(x != 0.5, x, 0.0)),
    "sums": lambda x: x.sum(axis=(2, 3)) + x.mean(axis=(2, 3)),
    "reductions": lambda x: x.max(axis=-1) + x.min(axis=3) + tc.prod(x, 3) + x.sum(-1),
    "kept": lambda x: x - x.mean(axis=1, keepdims=True),
    "reshape": lambda x: x.reshape(x.shape[0], -1),
    "into the batch": lambda x: x.reshape(-1, 5),
    "split axis": lambda x: x.reshape(x.shape[0], 3, 2, 4, 5).transpose(0, 2, 1, 3, 4),
    "transposed": lambda x: x.transpose(0, 2, 3, 1),
    "batch last": lambda x: tc.moveaxis(x, 0, -1),
    "slices": lambda x: x[:, 1:, ::2, -3:],
    "a place": lambda x: x[:, 2, ..., 1],
    "backwards": lambda x: x[:, ::-1] + tc.flip(x, 3),
    "new axis": lambda x: x[:, None, :, 0],
    "chosen": lambda x: x[:, [2, 0, 2]],
    "joined": lambda x: tc.concatenate([x, x * 2.0], axis=1),
    "stacked": lambda x: tc.stack([x, -x], axis=2),
    "padded": lambda x: tc.pad(x, [(0, 0), (1, 0), (2, 1), (0, 3)], value=0.5),
    "cropped": lambda x: tc.crop(x, [(0, 0), (1, 0), (0, 1), (2, 0)]),
    "spread": lambda x: tc.broadcast_to(x[:, :1], x.shape) + tc.broadcast_to(x, (2, *x.shape)),
    "product": lambda x: x @ x.transpose(0, 1, 3, 2),
    "einsum": lambda x: tc.einsum("nchw,ndhw->ncd", x, x),
    "running": lambda x: tc.cumsum(x, 2),
    "double": lambda x: x.astype(np.float64) * 2.0,
    "relu": F.relu, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu, "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, "tanh"), "silu": F.silu,
    "softplus": lambda x: F.softplus(x, 2.0), "mish": F.mish, "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid, "relu6": F.relu6, "hardtanh": F.hardtanh,
    "log_sigmoid": F.log_sigmoid, "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, -1), "maxout": lambda x: F.maxout(x, 2),
    "group norm": lambda x: F.group_norm(x, 3), "layer norm": lambda x: F.layer_norm(x, (4, 5)),
    "instance norm": F.instance_norm,
    "response": lambda x: F.local_response_norm(x, 3, 0.1, 0.5, 2.0),
    "global": lambda x: F.global_avg_pool2d(x) + F.global_max_pool2d(x),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name: str, tmp_path: Path) -> None:
    _check(Function(OPERATIONS[name]), tmp_path / "m.onnx", (6, 4, 5))


POOLS: dict[str, Any] = {
    "max": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max, ceiled": lambda x: F.max_pool2d(x, 3, 3, ceil_mode=True),
    "max, dilated": lambda x: F.max_pool2d(x, 2, 1, 1, dilation=3),
    "max, cropped": lambda x: F.max_pool2d(x, 2, 3, fit="crop"),
    "max, beside each other": lambda x: F.max_pool2d(x, (2, 1), (1, 3)),
    "average": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average, ceiled": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "average, ceiled far": lambda x: F.avg_pool2d(x, 4, 4, 1, ceil_mode=True),
    "average of what is there": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average of what is there, ceiled": lambda x: F.avg_pool2d(
        x, 3, 2, 1, ceil_mode=True, count_include_pad=False
    ),
    "sum": lambda x: F.avg_pool2d(x, 2, divisor_override=1),
    "average, cropped": lambda x: F.avg_pool2d(x, 2, 3, fit="crop"),
    "adaptive average": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive average, even": lambda x: F.adaptive_avg_pool2d(x, (11, 1)),
    "adaptive average, larger": lambda x: F.adaptive_avg_pool2d(x, (13, 4)),
    "adaptive average, one": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "adaptive max, one": lambda x: F.adaptive_max_pool2d(x, 1),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str, tmp_path: Path) -> None:
    _check(Function(POOLS[name]), tmp_path / "m.onnx", (3, 11, 9))


CONVOLUTIONS: dict[str, Any] = {
    "plain": lambda x, w: F.conv2d(x, w),
    "same": lambda x, w: F.conv2d(x, w, padding="same", stride=2),
    "same_lower": lambda x, w: F.conv2d(x, w, padding="same_lower", stride=2),
    "full": lambda x, w: F.conv2d(x, w, padding="full"),
    "uneven": lambda x, w: F.conv2d(x, w, padding=((1, 0), (2, 3)), stride=(2, 1)),
    "dilated": lambda x, w: F.conv2d(x, w, dilation=(2, 3)),
    "turned": lambda x, w: F.conv2d(x, w, flip=True),
    "reflect": lambda x, w: F.conv2d(x, w, padding=2, padding_mode="reflect"),
    "replicate": lambda x, w: F.conv2d(x, w, padding=2, padding_mode="replicate"),
    "circular": lambda x, w: F.conv2d(x, w, padding=2, padding_mode="circular"),
    "cropped": lambda x, w: F.conv2d(x, w, stride=3, fit="crop"),
    "padded": lambda x, w: F.conv2d(x, w, stride=3, fit="pad"),
    "transposed": lambda x, w: F.conv_transpose2d(
        F.conv2d(x, w, stride=2), w, stride=2, padding=1, output_padding=1
    ),
    "of weights computed": lambda x, w: F.conv2d(x, w * 0.5 - w.mean()),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str, tmp_path: Path) -> None:
    model = Function(CONVOLUTIONS[name], w=images(4, 3, 3, 2, seed=1))
    _check(model, tmp_path / "m.onnx", (3, 9, 11))


def test_layers(tmp_path: Path) -> None:
    nn = tc.nn
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8, affine=False), nn.PReLU(8), nn.Dropout(0.5),
        nn.ConvTranspose2d(8, 6, 3, stride=2, groups=2), nn.GroupNorm(3, 6), nn.GELU(),
        nn.Flatten(), nn.Linear(6 * 13 * 11, 5), nn.LayerNorm(5), nn.Softmax(),
    )  # fmt: skip
    _check(trained_a_bit(net), tmp_path / "m.onnx", (4, 8, 7))


@pytest.mark.parametrize("axes", [1, 3])
def test_signals_and_volumes(axes: int, tmp_path: Path) -> None:
    nn, shape = tc.nn, (2, *(9, 8, 7)[:axes])
    kind = {1: (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d), 3: (nn.Conv3d, nn.MaxPool3d, nn.AvgPool3d)}
    conv, largest, mean = kind[axes]
    net = nn.Sequential(conv(2, 3, 3, padding=1), nn.ReLU(), largest(2), mean(2, padding=1))
    _check(net, tmp_path / "m.onnx", shape)
