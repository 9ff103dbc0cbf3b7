"""Models by name, as the command line asks for them."""

from __future__ import annotations

import inspect
from typing import Any

from .. import nn
from ..errors import ArgumentError
from .lenet import LeNet5
from .small import ConvNetJS, DigitsNet

__all__ = ["build", "model_names"]

_MODELS: dict[str, type[nn.Module]] = {
    "convnetjs": ConvNetJS,
    "digits": DigitsNet,
    "lenet5": LeNet5,
}


def model_names() -> list[str]:
    """The names that ``build`` knows.

    >>> import tinygrad_cnn as tc
    >>> tc.models.model_names()
    ['convnetjs', 'digits', 'lenet5']
    """
    return sorted(_MODELS)


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
    if name not in _MODELS:
        raise ArgumentError(f"no model is called {name!r}; there are {', '.join(model_names())}")
    model = _MODELS[name]
    known = inspect.signature(model).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ArgumentError(
            f"model {name!r} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return model(**options)
