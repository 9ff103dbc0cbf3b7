"""Calls of everything public, taken from the examples in its documentation.

An example is run line by line; each call in it whose function is public, is an instance of a
public class, or a method of one, is kept as a recipe: what makes the function, and what it is
given.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import doctest
import importlib
import inspect
import io
import pkgutil
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import tinygrad_cnn

SKIPPED_PARTS = {"compiler", "distributed", "io", "sklearn", "playground", "cli", "__main__"}
# What writes, downloads, serves, or runs what it is given; and what only says it is deprecated.
SKIPPED = {"play", "download", "grade", "main", "CIFAR10", "MNIST", "FashionMNIST", "ImageFolder"}


class Recipe(NamedTuple):
    """A call that works.

    Attributes:
        name: of the function.
        make: gives the function, anew.
        args, kwargs: give what it is called with, anew.
    """

    name: str
    make: Callable[[], Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def public_objects() -> Iterator[tuple[str, Any]]:
    """All that a public module exports, once, with its full name."""
    seen: set[int] = set()
    for module in _modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if id(value) in seen or name in SKIPPED or isinstance(value, ModuleType):
                continue
            if callable(value) and getattr(value, "__module__", "").startswith("tinygrad_cnn"):
                seen.add(id(value))
                yield f"{value.__module__.removeprefix('tinygrad_cnn.')}.{name}", value


def _modules() -> Iterator[ModuleType]:
    yield tinygrad_cnn
    for found in pkgutil.walk_packages(tinygrad_cnn.__path__, "tinygrad_cnn."):
        parts = found.name.split(".")[1:]
        if not SKIPPED_PARTS.intersection(parts) and not any(p.startswith("_") for p in parts):
            yield importlib.import_module(found.name)


def recipes(name: str, value: Any) -> list[Recipe]:
    """The calls in the examples of one public object, and of its methods."""
    found: list[Recipe] = []
    owners = [(name, value)]
    if isinstance(value, type):
        owners += [
            (f"{name}.{key}", member)
            for key, member in vars(value).items()
            if isinstance(member, FunctionType) and not key.startswith("_")
        ]
    for _, owner in owners:
        found += _in_examples(name, value, inspect.getdoc(owner) or "")
    return found


def _in_examples(name: str, value: Any, doc: str) -> list[Recipe]:
    found: list[Recipe] = []
    namespace: dict[str, Any] = {"tc": tinygrad_cnn, "tinygrad_cnn": tinygrad_cnn}
    for example in doctest.DocTestParser().get_examples(doc):
        tree = ast.parse(example.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                with contextlib.suppress(Exception):
                    found += _recipe(name, value, node, namespace)
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(tree, "<example>", "exec"), namespace)
    return found


def _recipe(name: str, value: Any, node: ast.Call, namespace: dict[str, Any]) -> Iterator[Recipe]:
    """The call, if its function has to do with ``value`` and all it is given can be copied."""
    before = dict(namespace)

    def evaluated(part: ast.expr) -> Any:
        return eval(compile(ast.Expression(part), "<example>", "eval"), dict(before))

    function = evaluated(node.func)
    owner = getattr(function, "__self__", None)
    kind = value if isinstance(value, type) else ()
    if not (function is value or isinstance(function, kind) or isinstance(owner, kind)):
        return
    args = tuple(evaluated(argument) for argument in node.args)
    kwargs = {keyword.arg: evaluated(keyword.value) for keyword in node.keywords if keyword.arg}
    label = name if function is value else f"{name} {ast.unparse(node.func)[:50]}"
    copy.deepcopy((args, kwargs))
    yield Recipe(label, lambda: copy.deepcopy(evaluated(node.func)), args, kwargs)
