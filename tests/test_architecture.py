"""The shape of the code: which way imports point, how long things are, what is documented.

That each ``__all__`` is sorted is ruff's RUF022.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinygrad_cnn"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_LAZY_STATEMENTS = 10

_ANYONE = {"_arguments", "_files", "errors", "typing", "random"}
_ENGINE = {"_kernels", "_core"}
_MODEL = _ENGINE | {"ops", "functional", "nn", "models"}
_LIBRARY = _MODEL | {
    "_graph", "_methods", "checkpointing", "compiler", "creation", "transforms", "optim", "data",
    "train",
}  # fmt: skip
_TOOLS = {"check", "explain", "draw", "playground", "io", "distributed", "sklearn"}

# Each part of the package and the parts that it may import beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "_arguments": {"errors"},
    "_files": {"errors"},
    "errors": set(),
    "typing": set(),
    "random": {"errors"},
    "_kernels": _ANYONE,
    "_core": _ANYONE,
    "ops": _ANYONE | _ENGINE,
    "functional": _ANYONE | _ENGINE | {"ops"},
    "filters": _ANYONE | _ENGINE | {"ops", "functional"},
    "_methods": _ANYONE | _ENGINE | {"ops", "functional"},
    "_graph": _ANYONE | {"_core"},
    "creation": _ANYONE | {"_core"},
    "transforms": _ANYONE | _ENGINE | {"ops", "creation"},
    "checkpointing": _ANYONE | _ENGINE | {"ops", "transforms"},
    "nn": _ANYONE | _ENGINE | {"ops", "functional"},
    "models": _ANYONE | _MODEL,
    "optim": _ANYONE | {"_core"},
    "data": _ANYONE | {"_core"},
    "compiler": _ANYONE | _MODEL,
    "train": _ANYONE | _MODEL | {"optim", "data", "compiler"},
    **dict.fromkeys(_TOOLS, _ANYONE | _LIBRARY | _TOOLS),
    "cli": _ANYONE | _LIBRARY | _TOOLS | {"__init__"},
    "__main__": {"cli"},
    "__init__": _ANYONE | _LIBRARY | _TOOLS,
}
COMPOSED = ("functional", "nn", "models")  # of primitives, which alone have gradient rules
DOCUMENTED_BY_EXAMPLE = ("ops", "functional", "nn", "optim", "data")


def _python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


package_files = pytest.mark.parametrize("path", _python_files("tinygrad_cnn"), ids=_id)
all_files = pytest.mark.parametrize(
    "path", _python_files("tinygrad_cnn", "tests", "examples", "benchmarks"), ids=_id
)


# -- imports point one way -----------------------------------------------------------------


class Import(NamedTuple):
    """An import of one part of the package, and the function it stands in."""

    part: str
    line: int
    function: ast.FunctionDef | None


def _parts(node: ast.Import | ast.ImportFrom, path: Path) -> Iterator[str]:
    """The parts of the package that an import statement in ``path`` names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        parents = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
        module = ".".join((*parents, *filter(None, [node.module])))
        names = [f"{module}.{alias.name}" for alias in node.names]
    for name in names:
        top, _, inner = name.partition(".")
        if top == PACKAGE.name:
            part = inner.partition(".")[0]
            yield part if part in MAY_IMPORT else "__init__"  # else a name such as Tensor


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(
    node: ast.AST, path: Path, function: ast.FunctionDef | None = None
) -> Iterator[Import]:
    """Every import of the package below ``node`` that is carried out when the code runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (Import(part, child.lineno, function) for part in _parts(child, path))
        elif _is_type_checking(child):
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), path, function)
        else:
            inner = child if isinstance(child, ast.FunctionDef) else function
            yield from _imports(child, path, inner)


def _is_thin_and_public(function: ast.FunctionDef | None) -> bool:
    """Whether a lazy import may stand here: in a public function that only hands over."""
    if function is None or (function.name.startswith("_") and not function.name.endswith("__")):
        return False
    statements = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return statements - bool(ast.get_docstring(function)) <= MAX_LAZY_STATEMENTS


@package_files
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in MAY_IMPORT, f"say in MAY_IMPORT what the new part {own!r} may import"
    back = [
        f"{_id(path)}:{found.line} imports {found.part}"
        for found in _imports(_parse(path), path)
        if found.part not in MAY_IMPORT[own] | {own} and not _is_thin_and_public(found.function)
    ]
    assert not back, f"{own} may import {sorted(MAY_IMPORT[own])}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ..nn import Linear", {"nn"}),
        ("from .. import nn, optim", {"nn", "optim"}),
        ("from . import shape", {"ops"}),
        ("from .shape import reshape", {"ops"}),
        ("import tinygrad_cnn.nn.init", {"nn"}),
        ("import tinygrad_cnn as tc", {"__init__"}),
        ("from tinygrad_cnn import Tensor", {"__init__"}),
        ("import numpy.typing", set()),
        ("if TYPE_CHECKING:\n    from ..nn import Linear", set()),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from ..nn import Linear", {"nn"}),
        ("class A:\n    def f(self):\n        from ..nn import Linear", {"nn"}),
    ],
)
def test_every_form_of_import_is_seen(source: str, expected: set[str]) -> None:
    found = _imports(ast.parse(source), PACKAGE / "ops" / "arithmetic.py")
    assert {one.part for one in found} == expected


@pytest.mark.parametrize(
    "path", _python_files(*(f"tinygrad_cnn/{part}" for part in COMPOSED)), ids=_id
)
def test_what_is_composed_has_no_gradient_rule_of_its_own(path: Path) -> None:
    called = [node.func for node in ast.walk(_parse(path)) if isinstance(node, ast.Call)]
    names = {getattr(func, "id", getattr(func, "attr", None)) for func in called}
    assert not names & {"primitive", "Primitive"}


def test_import_reaches_no_optional_dependency() -> None:
    """Neither do the required tqdm and graphviz load before they are used."""
    script = (
        "import sys, numpy.random; before = set(sys.modules); import tinygrad_cnn;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    loaded = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(loaded.split()) - set(sys.stdlib_module_names) - {"numpy"} == {"tinygrad_cnn"}


# -- sizes ---------------------------------------------------------------------------------


@all_files
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_FILE_LINES


@all_files
def test_functions_are_short(path: Path) -> None:
    long = [
        f"{_id(path)}:{node.lineno} {node.name}"
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long


# -- public names --------------------------------------------------------------------------


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _is_public(path: Path) -> bool:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return not any(part.startswith("_") and part != "__init__" for part in parts)


PUBLIC_MODULES = [path for path in _python_files("tinygrad_cnn") if _is_public(path)]
public_modules = pytest.mark.parametrize("path", PUBLIC_MODULES, ids=_id)


class Public(NamedTuple):
    """A name that ``__all__`` exports, its value and where in the package it is defined."""

    name: str
    value: object
    node: ast.ClassDef | ast.FunctionDef

    @property
    def doc(self) -> str:
        """The docstring as written: a dataclass without one makes up its own."""
        return ast.get_docstring(self.node) or ""


def _definitions(path: Path) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """The functions and classes of a file; of an overloaded function the last, the body."""
    nodes = _parse(path).body
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _public_names(path: Path) -> Iterator[Public]:
    """The functions and classes that a module exports."""
    module = importlib.import_module(_module_name(path))
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", "").partition(".")[0] == PACKAGE.name:
            source = Path(sys.modules[value.__module__].__file__ or "")
            node = _definitions(source).get(getattr(value, "__qualname__", name))
            if node is not None:
                yield Public(name, value, node)


def _undocumented_methods(cls: type) -> Iterator[str]:
    """The public methods of a class that have no docstring, not even an inherited one."""
    for name, member in vars(cls).items():
        is_method = isinstance(member, FunctionType | property | classmethod | staticmethod)
        if is_method and not name.startswith("_") and not inspect.getdoc(getattr(cls, name)):
            yield f"{cls.__name__}.{name}"


@public_modules
def test_public_names_have_docstrings(path: Path) -> None:
    assert ast.get_docstring(_parse(path)), "the module itself"
    names = list(_public_names(path))
    assert not [public.name for public in names if not public.doc]
    classes = [public.value for public in names if isinstance(public.value, type)]
    assert not [method for cls in classes for method in _undocumented_methods(cls)]


@pytest.mark.parametrize("part", DOCUMENTED_BY_EXAMPLE)
def test_public_functions_show_an_example(part: str) -> None:
    files = [path for path in PUBLIC_MODULES if path.is_relative_to(PACKAGE / part)]
    names = (public for path in files for public in _public_names(path))
    functions = [public for public in names if isinstance(public.node, ast.FunctionDef)]
    assert functions
    assert not {public.name for public in functions if ">>>" not in public.doc}


@pytest.mark.parametrize(
    "path", [path for path in PUBLIC_MODULES if path.name == "__init__.py"], ids=_id
)
def test_all_is_complete(path: Path) -> None:
    """A package exports what its ``__init__`` binds, and all that its public modules export."""
    bound = set(_definitions(path))
    for node in _parse(path).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            bound.update(alias.asname or alias.name for alias in node.names)
    exported = set(importlib.import_module(_module_name(path)).__all__)
    assert {name for name in bound if not name.startswith("_")} <= exported
    if path.parent == PACKAGE:
        return  # submodules such as nn are used by their own names
    for file in path.parent.glob("[!_]*.py"):
        if file.stem not in exported:
            inner = importlib.import_module(_module_name(file))
            assert set(getattr(inner, "__all__", ())) <= exported, file.name
