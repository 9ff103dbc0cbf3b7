"""PyTorch's layers over the functions of any engine, so that each network is defined once.

An engine that has no layers of its own brings ``Functions``; ``Layers`` of them stands where a
network asks for ``nn``. What a layer learns is in ``Layer.values``, which an engine may read and
replace as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Build = Callable[[Any], Any]
Training = Callable[[Array, Array], float]
Inference = Callable[[Array], Any]

PARAMETERS = ("weight", "bias")
EPS, MOMENTUM = 1e-5, 0.1  # of batch normalisation, the defaults of PyTorch


class Functions(Protocol):
    """What an engine must be able to compute; images are (N, C, H, W) unless it says otherwise."""

    channels: tuple[int, ...]  # the shape in which numbers of channels meet images

    def conv2d(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        """Cross-correlation; weight (K, C, F, F), bias (K,) or None."""

    def relu(self, x: Any) -> Any:
        """The positive part."""

    def max_pool2d(self, x: Any, size: int) -> Any:
        """The largest of each window; the stride is the size, what is left over is cut off."""

    def avg_pool2d(self, x: Any, size: int) -> Any:
        """The mean of each window."""

    def flatten(self, x: Any) -> Any:
        """To (N, C H W)."""

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """Weight (K, C)."""

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
        """By the statistics of the batch, and these: mean and variance, without gradient."""


class Module:
    """Something that maps images to images, and the layers in it."""

    def __call__(self, x: Any) -> Any:
        """What ``forward`` gives."""
        return self.forward(x)

    def forward(self, x: Any) -> Any:
        """To be defined by each network."""
        raise NotImplementedError

    def layers(self) -> Iterator[Layer]:
        """In the order of a state dict."""
        for value in vars(self).values():
            if isinstance(value, Module):
                yield from value.layers()


class Sequential(Module):
    """One after the other."""

    def __init__(self, *modules: Module) -> None:
        self.modules = modules

    def forward(self, x: Any) -> Any:
        """Through all of them."""
        for module in self.modules:
            x = module(x)
        return x

    def layers(self) -> Iterator[Layer]:
        """Those of all of them."""
        for module in self.modules:
            yield from module.layers()


class Layer(Module):
    """A function of its values and the images."""

    def __init__(self, function: Callable[[dict[str, Any], Any], Any], *names: str) -> None:
        self.values: dict[str, Any] = dict.fromkeys(names)
        self.function = function

    def forward(self, x: Any) -> Any:
        """The function's."""
        return self.function(self.values, x)

    def layers(self) -> Iterator[Layer]:
        """Itself."""
        yield self


class Layers:
    """The names in ``torch.nn`` that the networks use."""

    Module, Sequential = Module, Sequential

    def __init__(self, functions: Functions, training: bool) -> None:
        self.functions, self.training = functions, training

    def Conv2d(
        self, _: int, __: int, size: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> Layer:
        return Layer(
            lambda v, x: self.functions.conv2d(x, v["weight"], v.get("bias"), stride, padding),
            *PARAMETERS[: 1 + bias],
        )

    def Linear(self, *_: int) -> Layer:
        return Layer(lambda v, x: self.functions.linear(x, v["weight"], v["bias"]), *PARAMETERS)

    def ReLU(self) -> Layer:
        return Layer(lambda _, x: self.functions.relu(x))

    def MaxPool2d(self, size: int) -> Layer:
        return Layer(lambda _, x: self.functions.max_pool2d(x, size))

    def AvgPool2d(self, size: int) -> Layer:
        return Layer(lambda _, x: self.functions.avg_pool2d(x, size))

    def Flatten(self) -> Layer:
        return Layer(lambda _, x: self.functions.flatten(x))

    def BatchNorm2d(self, _: int) -> Layer:
        names = (*PARAMETERS, "running_mean", "running_var", "num_batches_tracked")
        return Layer(self._batch_norm, *names)

    def _batch_norm(self, v: dict[str, Any], x: Any) -> Any:
        if not self.training:
            scale = v["weight"] / (v["running_var"] + EPS) ** 0.5
            shift = v["bias"] - v["running_mean"] * scale
            shape = self.functions.channels
            return x * scale.reshape(shape) + shift.reshape(shape)
        y, mean, variance = self.functions.batch_norm(x, v["weight"], v["bias"])
        count = np.prod(x.shape) / np.prod(mean.shape)
        unbiased = variance * float(count / (count - 1))
        for name, new in (("running_mean", mean), ("running_var", unbiased)):
            v[name] = (1 - MOMENTUM) * v[name] + MOMENTUM * new
        return y


class Slots:
    """The parameters of a network, or its buffers, as one list to read and replace."""

    def __init__(self, network: Module, parameters: bool) -> None:
        self._places = [
            (layer.values, name)
            for layer in network.layers()
            for name in layer.values
            if (name in PARAMETERS) == parameters
        ]

    def read(self) -> list[Any]:
        """What they are now."""
        return [values[name] for values, name in self._places]

    def write(self, new: Sequence[Any]) -> None:
        """Replace all of them."""
        for (values, name), value in zip(self._places, new, strict=True):
            values[name] = value


def load(
    build: Build, functions: Functions, weights: Sequence[Array], training: bool
) -> tuple[Module, Slots, Slots]:
    """A network with its values, its parameters and its buffers."""
    network: Module = build(Layers(functions, training))
    remaining = iter(weights)
    for layer in network.layers():
        for name in layer.values:
            layer.values[name] = next(remaining)
    return network, Slots(network, parameters=True), Slots(network, parameters=False)
