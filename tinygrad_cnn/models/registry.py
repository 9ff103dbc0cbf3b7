"""Models by name, as the command line asks for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import nn
from ..errors import ArgumentError
from ._base import ImageModel
from .alexnet import AlexNet, AlexNet2012, ZFNet
from .all_convolutional import AllConvolutional
from .cifar_resnet import CifarResNet
from .googlenet import GoogLeNet
from .lenet import LeNet5
from .network_in_network import NetworkInNetwork
from .preact_resnet import PreActResNet
from .resnet import ResNet
from .small import CifarQuick, ConvNetJS, ConvNetJSCifar, DigitsNet
from .vgg import VGG

__all__ = ["architecture", "build", "model_names", "model_options"]

_MODELS: dict[str, Callable[..., nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet2012": AlexNet2012,
    "all_convolutional": AllConvolutional,
    "cifar10_quick": CifarQuick,
    "convnetjs": ConvNetJS,
    "convnetjs_cifar10": ConvNetJSCifar,
    "digits": DigitsNet,
    "googlenet": GoogLeNet,
    "googlenet_bn": partial(GoogLeNet, batch_norm=True),
    "lenet5": LeNet5,
    "network_in_network": NetworkInNetwork,
    "zfnet": ZFNet,
    **{f"vgg{depth}": partial(VGG, depth) for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": partial(VGG, depth, batch_norm=True) for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": partial(ResNet, depth) for depth in (18, 34, 50, 101, 152)},
    **{f"cifar_resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110)},
    **{f"preact_resnet{depth}": partial(PreActResNet, depth) for depth in (20, 110)},
    "preact_resnet164": partial(PreActResNet, 164, bottleneck=True),
}


def model_names() -> list[str]:
    """The names that ``build`` knows.

    >>> import tinygrad_cnn as tc
    >>> [name for name in tc.models.model_names() if name.startswith("vgg")]
    ['vgg11', 'vgg11_bn', 'vgg13', 'vgg13_bn', 'vgg16', 'vgg16_bn', 'vgg19', 'vgg19_bn']
    """
    return sorted(_MODELS)


def model_options(name: str) -> list[str]:
    """What ``build`` can set for a model.

    Raises:
        ArgumentError: the name is unknown.

    >>> import tinygrad_cnn as tc
    >>> tc.models.model_options("lenet5")
    ['in_channels', 'classes', 'image_size', 'dtype', 'generator']
    """
    if not isinstance(name, str) or name not in _MODELS:
        raise ArgumentError(f"no model is called {name!r}; there are {', '.join(model_names())}")
    return list(inspect.signature(_MODELS[name]).parameters)


def build(name: str, **options: Any) -> nn.Module:
    """A new model by its name.

    Args:
        name: one of ``model_names()``.
        options: what the model's constructor takes, such as ``classes``.

    Raises:
        ArgumentError: the name or an option is unknown.

    >>> import tinygrad_cnn as tc
    >>> tc.models.build("lenet5", classes=3).fc3
    Linear(84, 3)
    """
    known = model_options(name)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ArgumentError(
            f"model {name!r} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return _MODELS[name](**options)


def architecture(model: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """The name and the options by which ``build`` makes such a model; None if it knows none.

    What was done to the model afterwards is not told, except for the dtype of its parameters.

    >>> import tinygrad_cnn as tc
    >>> tc.models.architecture(tc.models.LeNet5(classes=3).double())
    ('lenet5', {'classes': 3, 'dtype': 'float64'})
    """
    if not isinstance(model, ImageModel):
        return None
    args, kwargs = model.arguments
    signature = inspect.signature(type(model))
    given = signature.bind_partial(*args, **kwargs)
    given.apply_defaults()
    given.arguments["dtype"] = next((p.dtype.type for p in model.parameters()), np.float32)
    fitting: list[tuple[str, dict[str, Any]]] = []
    for name, factory in _MODELS.items():
        made = factory if isinstance(factory, partial) else partial(factory)
        if made.func is not type(model):
            continue
        fixed = signature.bind_partial(*made.args, **made.keywords).arguments
        if fixed.items() <= given.arguments.items():
            fitting.append((name, _changed(factory, given.arguments)))
    return min(fitting, key=lambda one: len(one[1]), default=None)


def _changed(factory: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are not the defaults, as plain data."""
    parameters = inspect.signature(factory).parameters
    return {
        name: value.__name__ if isinstance(value, type) else value
        for name, value in arguments.items()
        if name in parameters and name != "generator" and value != parameters[name].default
    }
