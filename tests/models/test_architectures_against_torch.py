"""Blocks and whole networks against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures import images

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn

torch = pytest.importorskip("torch")
T = torch.nn.functional


class Twin:
    """PyTorch's functions on the parameters of a module, found by their state-dict keys."""

    def __init__(self, model: nn.Module) -> None:
        self.state = {key: torch.tensor(value) for key, value in model.state_dict().items()}
        for name, _ in model.named_parameters():
            self.state[name].requires_grad_()

    def conv(self, x: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        return T.conv2d(
            x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding
        )

    def bn(self, x: Any, name: str, eps: float = 1e-5) -> Any:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", *AFFINE)
        )
        return T.batch_norm(x, mean, var, weight, bias, training=True, eps=eps)

    def linear(self, x: Any, name: str) -> Any:
        return T.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])


AFFINE = ("weight", "bias")


def basic(twin: Twin, x: Any, at: str, stride: int) -> Any:
    out = torch.relu(twin.bn(twin.conv(x, f"{at}conv1", stride, 1), f"{at}bn1"))
    out = twin.bn(twin.conv(out, f"{at}conv2", 1, 1), f"{at}bn2")
    if f"{at}downsample.0.weight" in twin.state:
        x = twin.bn(twin.conv(x, f"{at}downsample.0", stride), f"{at}downsample.1")
    if f"{at}shortcut.0.weight" in twin.state:
        x = twin.bn(twin.conv(x, f"{at}shortcut.0", stride), f"{at}shortcut.1")
    elif x.shape != out.shape:  # option A
        more = out.shape[1] - x.shape[1]
        x = T.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, more // 2, more - more // 2))
    return torch.relu(out + x)


def bottleneck(twin: Twin, x: Any, at: str, stride: int) -> Any:
    out = torch.relu(twin.bn(twin.conv(x, f"{at}conv1"), f"{at}bn1"))
    out = torch.relu(twin.bn(twin.conv(out, f"{at}conv2", stride, 1), f"{at}bn2"))
    out = twin.bn(twin.conv(out, f"{at}conv3"), f"{at}bn3")
    if f"{at}downsample.0.weight" in twin.state:
        x = twin.bn(twin.conv(x, f"{at}downsample.0", stride), f"{at}downsample.1")
    return torch.relu(out + x)


def preactivated(twin: Twin, x: Any, at: str, stride: int, first: bool = False) -> Any:
    active = torch.relu(twin.bn(x, f"{at}bn1"))
    out = twin.conv(active, f"{at}conv1", stride, 1)
    out = twin.conv(torch.relu(twin.bn(out, f"{at}bn2")), f"{at}conv2", 1, 1)
    if f"{at}downsample.weight" in twin.state:
        return out + twin.conv(active, f"{at}downsample", stride)
    return out + (active if first else x)


def preactivated_bottleneck(twin: Twin, x: Any, at: str, stride: int) -> Any:
    active = torch.relu(twin.bn(x, f"{at}bn1"))
    out = torch.relu(twin.bn(twin.conv(active, f"{at}conv1"), f"{at}bn2"))
    out = torch.relu(twin.bn(twin.conv(out, f"{at}conv2", stride, 1), f"{at}bn3"))
    if f"{at}downsample.weight" in twin.state:
        x = twin.conv(active, f"{at}downsample", stride)
    return twin.conv(out, f"{at}conv3") + x


def inception(twin: Twin, x: Any, at: str, kernel: int = 5, batch_norm: bool = False) -> Any:
    def convolution(x: Any, name: str, size: int = 1) -> Any:
        out = twin.conv(x, f"{at}{name}.conv", 1, size // 2)
        return torch.relu(twin.bn(out, f"{at}{name}.bn", 0.001) if batch_norm else out)

    second = convolution(convolution(x, "branch2.0"), "branch2.1", 3)
    third = convolution(convolution(x, "branch3.0"), "branch3.1", kernel)
    fourth = convolution(T.max_pool2d(x, 3, 1, 1), "branch4.1")
    return torch.cat([convolution(x, "branch1"), second, third, fourth], 1)


def resnet18(twin: Twin, x: Any) -> Any:
    x = torch.relu(twin.bn(twin.conv(x, "conv1", 2, 3), "bn1"))
    x = T.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        x = basic(twin, x, f"layer{stage}.0.", 1 if stage == 1 else 2)
        x = basic(twin, x, f"layer{stage}.1.", 1)
    return twin.linear(x.mean((2, 3)), "fc")


def cifar_resnet(twin: Twin, x: Any, blocks: int) -> Any:
    x = torch.relu(twin.bn(twin.conv(x, "conv1", 1, 1), "bn1"))
    for stage in (1, 2, 3):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = basic(twin, x, f"layer{stage}.{block}.", stride)
    return twin.linear(x.mean((2, 3)), "linear")


def preact_resnet(twin: Twin, x: Any, blocks: int) -> Any:
    x = twin.conv(x, "conv1", 1, 1)
    for stage in (1, 2, 3):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = preactivated(twin, x, f"layer{stage}.{block}.", stride, first=block == 0)
    return twin.linear(torch.relu(twin.bn(x, "bn")).mean((2, 3)), "linear")


def seeded() -> dict[str, Any]:
    return {"dtype": np.float64, "generator": np.random.default_rng(0)}


CASES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "basic": (
        lambda: models.BasicBlock(4, 6, stride=2, **seeded()),
        lambda twin, x: basic(twin, x, "", 2),
        (3, 4, 7, 7),
    ),
    "basic, identity": (
        lambda: models.BasicBlock(4, 4, **seeded()),
        lambda twin, x: basic(twin, x, "", 1),
        (3, 4, 6, 6),
    ),
    "bottleneck": (
        lambda: models.Bottleneck(4, 3, stride=2, **seeded()),
        lambda twin, x: bottleneck(twin, x, "", 2),
        (3, 4, 7, 7),
    ),
    "bottleneck, identity": (
        lambda: models.Bottleneck(8, 2, **seeded()),
        lambda twin, x: bottleneck(twin, x, "", 1),
        (3, 8, 6, 6),
    ),
    "option A": (
        lambda: models.CifarBlock(4, 7, stride=2, **seeded()),
        lambda twin, x: basic(twin, x, "", 2),
        (3, 4, 7, 7),
    ),
    "option B": (
        lambda: models.CifarBlock(4, 7, stride=2, shortcut="B", **seeded()),
        lambda twin, x: basic(twin, x, "", 2),
        (3, 4, 7, 7),
    ),
    "preactivated": (
        lambda: models.PreActBlock(4, 6, stride=2, **seeded()),
        lambda twin, x: preactivated(twin, x, "", 2),
        (3, 4, 7, 7),
    ),
    "preactivated bottleneck": (
        lambda: models.PreActBottleneck(8, 2, **seeded()),
        lambda twin, x: preactivated_bottleneck(twin, x, "", 1),
        (3, 8, 6, 6),
    ),
    "preactivated bottleneck, projected": (
        lambda: models.PreActBottleneck(4, 2, stride=2, **seeded()),
        lambda twin, x: preactivated_bottleneck(twin, x, "", 2),
        (3, 4, 6, 6),
    ),
    "inception": (
        lambda: models.Inception(5, 4, 3, 6, 2, 5, 3, **seeded()),
        lambda twin, x: inception(twin, x, ""),
        (2, 5, 8, 8),
    ),
    "inception, batch norm": (
        lambda: models.Inception(5, 4, 3, 6, 2, 5, 3, batch_norm=True, **seeded()),
        lambda twin, x: inception(twin, x, "", kernel=3, batch_norm=True),
        (2, 5, 8, 8),
    ),
    "ResNet-18": (lambda: models.ResNet(18, classes=5, **seeded()), resnet18, (2, 3, 64, 64)),
    "CIFAR ResNet-14": (
        lambda: models.CifarResNet(14, **seeded()),
        lambda twin, x: cifar_resnet(twin, x, 2),
        (2, 3, 16, 16),
    ),
    "pre-activation ResNet-14": (
        lambda: models.PreActResNet(14, **seeded()),
        lambda twin, x: preact_resnet(twin, x, 2),
        (2, 3, 16, 16),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values_gradients_and_statistics(case: str) -> None:
    make, theirs, shape = CASES[case]
    model = make()
    rng = np.random.default_rng(1)
    for parameter in model.parameters():  # scales and shifts that are not 1 and 0
        parameter.data += 0.1 * rng.standard_normal(parameter.shape)
        parameter.mark_changed()
    twin = Twin(model)
    x = tc.tensor(rng.standard_normal(shape), requires_grad=True)
    t = torch.tensor(x.numpy(), requires_grad=True)
    y, expected = model(x), theirs(twin, t)
    np.testing.assert_allclose(y.data, expected.numpy(force=True), rtol=1e-10, atol=1e-10)
    weights = rng.standard_normal(y.shape)
    (y * weights).sum().backward()
    expected.backward(torch.tensor(weights))
    assert x.grad is not None
    pairs = {"x": (x.grad.data, t.grad)}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        pairs[name] = parameter.grad.data, twin.state[name].grad
    pairs |= {name: (buffer.data, twin.state[name]) for name, buffer in model.named_buffers()}
    for name, (ours, reference) in pairs.items():
        if not name.endswith("num_batches_tracked"):
            scale = max(1.0, float(abs(reference).max()))
            np.testing.assert_allclose(
                ours / scale, reference.numpy(force=True) / scale, rtol=0, atol=1e-10, err_msg=name
            )


def test_resnet18_in_float32_on_a_large_image() -> None:
    model = models.ResNet(18, generator=np.random.default_rng(0))
    x = images(2, 3, 224, 224)
    expected = resnet18(Twin(model), torch.tensor(x)).numpy(force=True)
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-4, atol=1e-4)
