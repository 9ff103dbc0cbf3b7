"""A program as readable NumPy: a function with a line for each operation."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.context import layer_path
from ..._kernels.windows import Window
from ...errors import GraphError
from ...nn import Module
from ...typing import Array
from .._symbols import Operation, Symbol

if TYPE_CHECKING:
    from .._trace import Trace

_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "//",
    "remainder": "%", "power": "**", "matmul": "@", "equal": "==", "not_equal": "!=",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
}  # fmt: skip
_PREFIX = {"negative": "-", "invert": "~"}
_METHODS = frozenset(("all", "any", "max", "min", "prod", "sum"))
_JOINS = frozenset(("concatenate", "stack"))
_WINDOWS = {
    "pad": "pad", "crop": "crop", "im2col": "im2col", "col2im": "col2im",
    "pool_switches": "switches", "gather_windows": "gather_windows",
    "scatter_windows": "scatter_windows",
}  # fmt: skip
_IMPORTS = """\
import numpy as np

from tinygrad_cnn import ops
from tinygrad_cnn._kernels import special, windows
from tinygrad_cnn._kernels.windows import Window
"""
_LONGEST_COMMENT = 88


def numpy_source(trace: Trace, function: Callable[..., Any]) -> str:
    """The program of a trace as source code.

    Raises:
        GraphError: an operation has no name in NumPy.
    """
    name = getattr(function, "__name__", "program")
    return _Writer(trace, function).written(name if name.isidentifier() else "program")


class _Writer:
    """Names for the values of one program, and its lines."""

    def __init__(self, trace: Trace, function: Callable[..., Any]) -> None:
        self.trace = trace
        self._taken = {"np", "ops", "special", "windows", "Window", "float", "int", "bool"}
        self._names: dict[Symbol, str] = {}
        for symbol, name in _input_names(trace, function):
            self._names[symbol] = self._free(name)

    def written(self, name: str) -> str:
        """The whole function."""
        program = self.trace.program
        inputs = [f"    {self._names[s]},  # {s.dtype} {s.shape}" for s in program.inputs]
        lines = [_IMPORTS, "", f"def {name}(", *inputs, "):"]
        last: tuple[str, str] | None = None
        for operation in program.operations:
            heading = _heading(operation)
            if heading != last and any(heading):
                lines.append(f"    # {': '.join(filter(None, heading))}"[:_LONGEST_COMMENT])
            last = heading
            text = self._expression(operation)
            self._names[operation.result] = made = self._free(operation.name)
            lines.append(f"    {made} = {text}")
        lines.append("    return [")
        lines += [
            f"        {self._text(output)},{comment}"
            for output, comment in zip(program.outputs, self._comments(), strict=True)
        ]
        return "\n".join([*lines, "    ]", ""])

    def _comments(self) -> Iterator[str]:
        """What each output is."""
        outputs, gradients = self.trace.counts
        names = {id(t): self._names[s] for s, t in self.trace.tracer.parameters.items()}
        given = zip(self.trace.given_nodes, self.trace.arguments, strict=True)
        leaves = {id(node): self._names[symbol] for node, symbol in given if node is not None}
        for number in range(len(self.trace.program.outputs)):
            if number < outputs:
                yield ""
            elif number < outputs + gradients:
                leaf = self.trace.leaves[number - outputs]
                found = leaves.get(id(leaf)) or names.get(id(leaf.tensor()))  # type: ignore[attr-defined]
                yield f"  # the gradient by {found}" if found else "  # a gradient"
            else:
                tensor = self.trace.assigned[number - outputs - gradients]
                yield f"  # the new value of {names.get(id(tensor), 'a buffer')}"

    def _free(self, wanted: str) -> str:
        """A name that nothing else has."""
        name = re.sub(r"\W+", "_", wanted).strip("_") or "value"
        name = f"layer{name}" if name[0].isdigit() else name
        number, free = 1, f"{name}_" if keyword.iskeyword(name) else name
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free

    def _text(self, value: Any) -> str:
        """A value as it stands in code."""
        if isinstance(value, Symbol):
            return self._names[value]
        if isinstance(value, np.ndarray):
            return _array_text(value)
        if isinstance(value, np.generic):
            return f"np.{value.dtype.name}({value.item()!r})"
        if isinstance(value, np.dtype):
            return f"np.dtype({value.name!r})"
        if isinstance(value, Window):
            return f"Window({', '.join(map(repr, value))})"
        if type(value) is tuple:
            items = ", ".join(map(self._text, value))
            return f"({items},)" if len(value) == 1 else f"({items})"
        if isinstance(value, float) and (np.isnan(value) or np.isinf(value)):
            return f"float({str(value)!r})"
        return "..." if value is ... else repr(value)

    def _expression(self, operation: Operation) -> str:
        """The right side of an operation's line."""
        name, params = operation.name, operation.params
        args = [self._text(arg) for arg in operation.args]
        if name in _INFIX and len(args) == 2:
            left, right = (f"({arg})" if arg.startswith("-") else arg for arg in args)
            return f"{left} {_INFIX[name]} {right}"
        if name in _PREFIX:
            return f"{_PREFIX[name]}{args[0]}"
        if name in _SPECIAL:
            return _SPECIAL[name](self, args, params)
        settings = {key: value for key, value in params.items() if key != "ties"}
        keywords = [f"{key}={self._text(value)}" for key, value in settings.items()]
        if name in _METHODS:
            return f"{args[0]}.{name}({', '.join(keywords)})"
        if name in _JOINS:
            return f"np.{name}([{', '.join(args)}], {', '.join(keywords)})"
        if name in _WINDOWS:
            return f"windows.{_WINDOWS[name]}({', '.join([*args, *keywords])})"
        if hasattr(np, name):
            return f"np.{name}({', '.join([*args, *keywords])})"
        raise GraphError(f"numpy_source: {name} has no name in NumPy")


_Special = Callable[[_Writer, list[str], dict[str, Any]], str]
_SPECIAL: dict[str, _Special] = {
    "astype": lambda w, a, p: f"{a[0]}.astype(np.{p['dtype'].name})",
    "reshape": lambda w, a, p: f"{a[0]}.reshape({w._text(p['shape'])})",
    "transpose": lambda w, a, p: f"{a[0]}.transpose({w._text(p['axes'])})",
    "broadcast_to": lambda w, a, p: f"np.broadcast_to({a[0]}, {w._text(p['shape'])})",
    "sum_to": lambda w, a, p: f"ops.sum_to({a[0]}, {w._text(p['shape'])})",
    "getitem": lambda w, a, p: f"{a[0]}[{w._text(p['index'])}]",
    "item": lambda w, a, p: f"{a[0]}.reshape(())",
    "full": lambda w, a, p: f"np.full({p['shape']}, {w._text(p['value'])}, {w._text(p['dtype'])})",
    "scatter_add": lambda w, a, p: (
        f"ops.scatter_add({a[0]}, {w._text(p['index'])}, {w._text(p['shape'])})"
    ),
    "sigmoid": lambda w, a, p: f"special.sigmoid({a[0]})",
    "erf": lambda w, a, p: f"special.erf({a[0]})",
    "einsum": lambda w, a, p: (
        f"np.einsum({','.join(p['inputs']) + '->' + p['output']!r}, {', '.join(a)}, optimize=True)"
    ),
}


def _array_text(array: Array) -> str:
    """An array as an expression, as short as it can be."""
    kind = f"np.{array.dtype.name}"
    counting = np.arange(array.size)
    if array.size and (array == array.flat[0]).all():
        value = array.flat[0].item()
        text = repr(value) if np.isfinite(value) else f"float({str(value)!r})"
        return f"np.full({array.shape}, {text}, {kind})"
    if array.dtype.kind in "iu" and (array.ravel() == counting).all():
        return f"np.arange({array.size}, dtype={kind}).reshape({array.shape})"
    listed = repr(array.tolist()).replace("inf", "np.inf").replace("nan", "np.nan")
    return f"np.array({listed}, {kind})"


def _heading(operation: Operation) -> tuple[str, str]:
    """Where an operation comes from: its scope, and the user's line."""
    scope, source = operation.scope, operation.source
    path = ""
    if scope is not None:
        layer = layer_path(scope)
        path = scope.name if not layer or scope.kind == "module" else f"{layer}/{scope.name}"
    line = f"line {source.line}: {source.text}" if source is not None else ""
    return path, line


def _input_names(trace: Trace, function: Callable[..., Any]) -> Iterator[tuple[Symbol, str]]:
    """For each input of the program what the user calls it."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    for number, symbol in enumerate(trace.arguments):
        yield symbol, names[number] if len(trace.arguments) <= len(names) else f"argument{number}"
    known: dict[int, str] = {}
    for module in _modules(function):
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            known.setdefault(id(tensor), name)
    for symbol, tensor in trace.tracer.parameters.items():
        yield symbol, known.get(id(tensor)) or tensor.name or "variable"
    for symbol in trace.tracer.constants:
        yield symbol, "constant"
    for symbol in trace.tracer.draws:
        yield symbol, "drawn"


def _modules(function: Any) -> Iterator[Module]:
    """The modules that a function is, belongs to, or names."""
    named = [function, getattr(function, "__self__", None)]
    code = getattr(function, "__code__", None)
    if code is not None:
        found = getclosurevars(function)
        named += [*found.nonlocals.values(), *found.globals.values()]
    return (value for value in named if isinstance(value, Module))
