"""The engines that are compared, each behind the same two functions.

A module of this package has ``training(build, weights, sgd, **options)``, which gives a function
of a batch that does a step and returns the loss, and ``inference(build, weights, **options)``,
which gives a function of images that returns scores. Both take and return NumPy arrays, so that
a time has in it all that a user of the engine would do. ``build`` is a network of ``_nets``,
``weights`` its parameters and buffers in the order of a state dict.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

OURS = ("tinygrad_cnn", "accuracy=fast", "NumPy only", "eager")
REFERENCE = "eager"  # whose results the others must reproduce
PYTORCH = ("PyTorch", "PyTorch channels_last", "PyTorch compiled")
PEERS = ("JAX", "tinygrad", "MyGrad", "HIPS autograd")


class Engine(NamedTuple):
    """Where an engine is found: the module here, the packages that it needs, its options."""

    module: str
    packages: tuple[str, ...]
    options: Mapping[str, Any] = {}

    def do(self, what: str, *args: Any) -> Callable[..., Any]:
        """A function of a batch: ``training`` or ``inference`` of the module."""
        function = getattr(importlib.import_module(f"_engines.{self.module}"), what)
        made: Callable[..., Any] = function(*args, **self.options)
        return made


ENGINES = {
    "tinygrad_cnn": Engine("ours", ("tinygrad_cnn", "llvmlite"), {"compiler": {}}),
    "accuracy=fast": Engine(
        "ours", ("tinygrad_cnn", "llvmlite"), {"compiler": {"accuracy": "fast"}}
    ),
    "NumPy only": Engine("ours", ("tinygrad_cnn",), {"compiler": {"executor": "numpy"}}),
    "eager": Engine("ours", ("tinygrad_cnn",)),
    "PyTorch": Engine("pytorch", ("torch",)),
    "PyTorch channels_last": Engine("pytorch", ("torch",), {"channels_last": True}),
    "PyTorch compiled": Engine("pytorch", ("torch",), {"compiled": True}),
    "JAX": Engine("xla", ("jax",)),
    "tinygrad": Engine("tiny", ("tinygrad",)),
    "MyGrad": Engine("my", ("mygrad",)),
    "HIPS autograd": Engine("hips", ("autograd",)),
}


def absent(name: str) -> str | None:
    """Why an engine can't take part, or None."""
    for package in ENGINES[name].packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    if "compiler" in ENGINES[name].options and not hasattr(
        importlib.import_module("tinygrad_cnn"), "compile"
    ):
        return "tinygrad_cnn has no compile"
    if name == "PyTorch compiled" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return "torch.compile needs a C++ compiler"
    if name == "tinygrad" and shutil.which("clang") is None:
        return "tinygrad's CPU device needs clang"
    return None


def present(names: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Those that can take part, and why each of the others can't."""
    reasons = {name: reason for name in names if (reason := absent(name))}
    return [name for name in names if name not in reasons], reasons
