"""What the tests of ONNX share: models, files and the runtime that they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc

SMALL = {  # the image that each model is tried on
    "all_convolutional": (3, 32, 32), "cifar10_quick": (3, 32, 32), "cifar_resnet20": (3, 32, 32),
    "convnetjs": (1, 28, 28), "convnetjs_cifar10": (3, 32, 32), "digits": (1, 8, 8),
    "googlenet": (3, 64, 64), "googlenet_bn": (3, 64, 64), "lenet5": (1, 28, 28),
    "network_in_network": (3, 32, 32), "preact_resnet20": (3, 32, 32), "resnet18": (3, 48, 48),
}  # fmt: skip
LARGE = {
    "alexnet": (3, 224, 224), "alexnet2012": (3, 227, 227), "zfnet": (3, 224, 224),
    **{f"cifar_resnet{n}": (3, 32, 32) for n in (32, 44, 56, 110)},
    **{f"preact_resnet{n}": (3, 32, 32) for n in (110, 164)},
    **{f"resnet{n}": (3, 48, 48) for n in (34, 50, 101, 152)},
    **{f"vgg{n}{bn}": (3, 224, 224) for n in (11, 13, 16, 19) for bn in ("", "_bn")},
}  # fmt: skip


class Function(tc.nn.Module):
    """A function as a model, with parameters to go by."""

    def __init__(self, function: Callable[..., Any], **parameters: Any) -> None:
        super().__init__()
        self._function = function
        for name, values in parameters.items():
            setattr(self, name, tc.nn.Parameter(np.asarray(values, np.float32)))

    def forward(self, *xs: Any) -> Any:
        return self._function(*xs, **dict(self._own(tc.nn.Parameter)))


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def run(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    """What the runtime computes."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def evaluated(model: tc.nn.Module, *inputs: np.ndarray) -> list[np.ndarray]:
    """What the model computes in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with tc.no_grad():
        found = model(*map(tc.Tensor, inputs))
    for module, mode in modes:
        module.training = mode
    return [np.asarray(y.data) for y in (found if isinstance(found, tuple) else (found,))]


def agree(ours: list[Any], theirs: list[Any], tolerance: float = 1e-5) -> None:
    """Within a tolerance of the largest value, and of 1."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(1.0, float(np.abs(b).max(initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def trained_a_bit(model: tc.nn.Module) -> tc.nn.Module:
    """Statistics and parameters that are not those of a new model."""
    rng = np.random.default_rng(5)
    for name, buffer in model.named_buffers():
        if "running" in name:
            low, high = (0.5, 1.5) if "var" in name else (-0.3, 0.3)
            buffer.data = rng.uniform(low, high, buffer.shape).astype(buffer.dtype)
    return model
