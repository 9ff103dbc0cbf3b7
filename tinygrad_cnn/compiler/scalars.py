"""Programs of single numbers as straight-line Python: one assignment after the other.

Where each value is one number, NumPy's share of the time is the cost of calling it. Python's own
floats follow the same standard, IEEE 754, so that the results are the same to the last bit; only
exp, log, sin, tanh and the like may differ in it from NumPy's, which has versions of its own for
some processors. Where Python raises and NumPy gives an infinity or NaN, as at a division by zero,
the call runs again by NumPy.

What is used once is written where it is used, and a name is used again once its value is no
longer needed: Python keeps the memory of a hundred floats at hand. A long program is cut into
functions, after its operations have been ordered depth first, so that few values are alive.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._depth_first import depth_first
from ._executors import UnsupportedError
from ._program import Program
from ._symbols import Operation, Symbol, symbols_in

if TYPE_CHECKING:
    from ._function import Compiled
    from ._trace import Trace

_PART = 20_000  # operations in one function: CPython's compiler takes a few µs and 1 KB for each
_NEAR = 32  # operations between the two ends of a value that is written where it is used
_LONGEST = 80  # characters of an expression that goes into another one
_DTYPES = {np.dtype(np.float64): np.float64, np.dtype(np.bool_): np.bool_}
_RAISED = (ZeroDivisionError, OverflowError, ValueError)


class Expression(NamedTuple):
    """A piece of Python.

    Attributes:
        text: as written.
        binding: how tightly its outermost operator binds: one of the constants below.
        names: the values in it that have names, as often as they are used.
    """

    text: str
    binding: int
    names: tuple[Symbol, ...] = ()

    def within(self, least: int) -> str:
        """The text, in parentheses unless it binds at least so tightly."""
        return self.text if self.binding >= least else f"({self.text})"


_CHOICE, _COMPARISON, _SUM, _PRODUCT, _SIGN, _ATOM = range(6)

_INFIX = {
    "add": ("+", _SUM), "subtract": ("-", _SUM), "multiply": ("*", _PRODUCT),
    "divide": ("/", _PRODUCT), "equal": ("==", _COMPARISON), "not_equal": ("!=", _COMPARISON),
    "less": ("<", _COMPARISON), "less_equal": ("<=", _COMPARISON),
    "greater": (">", _COMPARISON), "greater_equal": (">=", _COMPARISON),
}  # fmt: skip
_CALLS: dict[str, Callable[..., float]] = {
    "power": math.pow, "abs": abs, "exp": math.exp, "log": math.log, "sqrt": math.sqrt,
    "sin": math.sin, "cos": math.cos, "tanh": math.tanh, "expm1": math.expm1, "log1p": math.log1p,
}  # fmt: skip
# NaN wins, and a tie goes to the second operand, as it does in NumPy on most processors.
_EXTREMA = {
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
}
_OF_NUMBER = {"maximum": "{0} if {1} < {0} else {1}", "minimum": "{0} if {1} > {0} else {1}"}
_COMPARISONS = frozenset(name for name, (_, binding) in _INFIX.items() if binding == _COMPARISON)
_UNCHANGED = frozenset(("item", "reshape", "broadcast_to", "sum_to"))


def build(trace: Trace, compiled: Compiled[Any, Any]) -> ScalarRunner:
    """A program of single numbers, ready to run.

    Raises:
        UnsupportedError: a value has axes, or is neither float64 nor a truth value.
    """
    return ScalarRunner(trace.program)


class ScalarRunner:
    """Runs a program as Python functions.

    Attributes:
        functions: their texts; the last one calls the others.
    """

    def __init__(self, program: Program) -> None:
        _check(program)
        self._program = program
        self._kinds = [
            _DTYPES[output.dtype] if isinstance(output, Symbol) else None
            for output in program.outputs
        ]
        writer = _Writer(program)
        self.functions = writer.functions
        # One by one: the compiler's memory grows with the text.
        for text in self.functions:
            exec(compile(text, "<scalars>", "exec"), writer.namespace)
        self._function = writer.namespace["program"]

    def describe(self) -> list[str]:
        """For ``explain``: how much Python it is."""
        lines = sum(text.count("\n") for text in self.functions)
        return [f"{lines} lines of Python in {len(self.functions)} functions"]

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        try:
            values = self._function(*map(float, arrays))
        except _RAISED:  # where NumPy gives an infinity or NaN
            return self._program(*arrays)
        return [
            output if kind is None else kind(value)
            for output, kind, value in zip(self._program.outputs, self._kinds, values, strict=True)
        ]


def _check(program: Program) -> None:
    for symbol in program.inputs:
        if symbol.shape or symbol.dtype != np.float64:
            raise UnsupportedError(f"an input is {symbol.dtype}{list(symbol.shape)}, not a float64")
    for operation in program.operations:
        made = operation.result
        if made.shape or made.dtype not in _DTYPES:
            raise UnsupportedError(
                f"{operation.name} gives {made.dtype}{list(made.shape)}, not a float64 or a truth"
                " value"
            )


class _Writer:
    """Writes the functions of a program.

    A long program is written in parts; each has one argument, the list ``v`` in which values
    wait that live on from one part to the next.

    Attributes:
        functions: their texts; the last one calls the others.
        namespace: what they call.
    """

    def __init__(self, program: Program) -> None:
        self.functions: list[str] = []
        self.namespace: dict[str, Any] = {f.__name__: f for f in _CALLS.values()}
        self.namespace |= {"inf": math.inf, "nan": math.nan}
        self._operations = program.operations
        self._users: dict[Symbol, list[int]] = {}  # the numbers of the operations that use it
        self._places: dict[Symbol, int] = {}  # in the list
        self._begin(0)
        if len(program.operations) <= _PART:
            self._whole(program)
        else:
            self._in_parts(program)

    def _count_users(self, outputs: Sequence[Any]) -> None:
        end = len(self._operations)
        for number, operation in enumerate(self._operations):
            for symbol in operation.args:
                if type(symbol) is Symbol:
                    self._users.setdefault(symbol, []).append(number)
        for output in outputs:
            if isinstance(output, Symbol):
                self._users.setdefault(output, []).append(end)

    def _begin(self, stop: int) -> None:
        """Begin a function, which ends with the operation before ``stop``."""
        self._stop = stop
        self._lines: list[str] = []
        self._values: dict[Symbol, Expression] = {}
        self._left: dict[Symbol, int] = {}  # how often it will yet be used in this function
        self._free: list[str] = []
        self._names = 0

    def _end(self, head: str) -> None:
        self.functions.append("\n    ".join([head, *self._lines]) + "\n")

    def _return(self, found: Sequence[str]) -> None:
        self._lines.append(f"return ({', '.join(found)}{',' if len(found) == 1 else ''})")

    def _whole(self, program: Program) -> None:
        self._count_users(program.outputs)
        self._begin(len(self._operations) + 1)
        names = []
        for number, symbol in enumerate(program.inputs):
            names.append(f"x{number}")
            self._values[symbol] = Expression(names[-1], _ATOM, (symbol,))
            self._left[symbol] = len(self._users.get(symbol, ())) + 1  # the name stays its own
        self._write(0, len(self._operations))
        found = [self._operand(output).text for output in program.outputs]
        self._return(found)
        self._end(f"def program({', '.join(names)}):")

    def _in_parts(self, program: Program) -> None:
        self._operations = depth_first(program.operations)
        self._count_users(program.outputs)
        self._places = {symbol: place for place, symbol in enumerate(program.inputs)}
        calls: list[str] = []
        for start in range(0, len(self._operations), _PART):
            stop = min(start + _PART, len(self._operations))
            self._begin(stop)
            self._write(start, stop)
            calls.append(f"part{len(calls)}(v)")
            self._end(f"def {calls[-1]}:")
        self._begin(len(self._operations) + 1)
        waiting = len(self._places) - len(program.inputs)
        self._lines = [f"v = [*inputs, *[0.0] * {waiting}]", *calls]
        found = [
            f"v[{self._places[output]}]" if isinstance(output, Symbol) else _number(output).text
            for output in program.outputs
        ]
        self._return(found)
        self._end("def program(*inputs):")

    def _write(self, start: int, stop: int) -> None:
        self._start = start
        for number in range(start, stop):
            operation = self._operations[number]
            expression, result = self._expression(operation), operation.result
            users = self._users[result]
            once = len(users) == 1 and users[0] < min(stop, number + _NEAR)
            if once and len(expression.text) <= _LONGEST:
                self._values[result] = expression
            else:
                self._assign(result, expression)

    def _assign(self, symbol: Symbol, expression: Expression) -> None:
        """Write a line that gives a value its name, its place in the list, or both."""
        users = self._users[symbol]
        self._release(expression)
        targets = []
        here = bisect_left(users, self._stop)
        if here:
            targets.append(self._name(symbol, here))
        if here < len(users) and symbol not in self._places:
            self._places[symbol] = len(self._places)
            targets.append(f"v[{self._places[symbol]}]")
        self._lines.append(" = ".join([*targets, expression.text]))

    def _name(self, symbol: Symbol, uses: int) -> str:
        if self._free:
            name = self._free.pop()
        else:
            name = f"t{self._names}"
            self._names += 1
        self._values[symbol] = Expression(name, _ATOM, (symbol,))
        self._left[symbol] = uses
        return name

    def _release(self, expression: Expression) -> None:
        """Free the names of values that are not needed after this expression."""
        for symbol in expression.names:
            self._left[symbol] -= 1
            if not self._left[symbol]:
                self._free.append(self._values.pop(symbol).text)

    def _operand(self, value: Any, simple: bool = False) -> Expression:
        """How an operation is given a value; ``simple`` if that is to be written twice."""
        if type(value) is not Symbol:
            return _number(value)
        found = self._values.get(value)
        if found is None:
            return self._loaded(value, simple)
        if simple and not found.text.isidentifier():
            self._release(found)
            self._lines.append(f"{self._name(value, 1)} = {found.text}")
            found = self._values[value]
        elif not (found.names and found.names[0] is value):
            del self._values[value]  # an expression, which is written once
        return found

    def _loaded(self, symbol: Symbol, simple: bool) -> Expression:
        """A value from the list: it gets a name if it is used again in this function."""
        users, place = self._users[symbol], f"v[{self._places[symbol]}]"
        uses = bisect_left(users, self._stop) - bisect_left(users, self._start)
        if uses == 1 and not simple:
            return Expression(place, _ATOM)
        self._lines.append(f"{self._name(symbol, uses)} = {place}")
        return self._values[symbol]

    def _expression(self, operation: Operation) -> Expression:
        """What an operation does, in Python."""
        name, args = operation.name, operation.args
        of_numbers = operation.result.dtype == np.float64 or name in _COMPARISONS
        if name in _INFIX and of_numbers:
            if name == "multiply" and any(map(_is_truth, args)):
                return self._masked(*(reversed(args) if _is_truth(args[0]) else args))
            sign, binding = _INFIX[name]
            x, y = map(self._operand, args)
            least = binding + (binding == _COMPARISON)  # a < b < c is something else in Python
            text = f"{x.within(least)} {sign} {y.within(binding + 1)}"
            return Expression(text, binding, x.names + y.names)
        if name in _EXTREMA:
            x, y = (self._operand(arg, simple=True) for arg in args)
            template = _EXTREMA[name]
            if not x.names and x.text != "nan":
                template = _OF_NUMBER[name]
            text = template.format(x.within(_SUM), y.within(_SUM))
            return Expression(text, _CHOICE, x.names + y.names)
        operands = [self._operand(arg) for arg in args]
        names = tuple(symbol for operand in operands for symbol in operand.names)
        if name in _UNCHANGED:
            return operands[0]
        if name == "negative":
            return Expression(f"-{operands[0].within(_SIGN)}", _SIGN, names)
        if name == "where":
            condition, yes, no = (operand.within(_COMPARISON) for operand in operands)
            return Expression(f"{yes} if {condition} else {no}", _CHOICE, names)
        known = _CALLS.get(name)
        function = self._function(operation) if known is None else known.__name__
        given = ", ".join(operand.text for operand in operands)
        return Expression(f"{function}({given})", _ATOM, names)

    def _masked(self, x: Any, condition: Any) -> Expression:
        """A product with a truth value: mixed types take Python longer."""
        number, truth = self._operand(x, simple=True), self._operand(condition)
        otherwise = f"{number.text} * 0.0" if number.names else repr(float(number.text) * 0.0)
        text = f"{number.text} if {truth.within(_COMPARISON)} else {otherwise}"
        return Expression(text, _CHOICE, number.names + truth.names)

    def _function(self, operation: Operation) -> str:
        """The name of a function that does what NumPy does."""
        if operation.params and next(symbols_in(operation.params), None) is not None:
            raise UnsupportedError(f"{operation.name} has an array among its settings")
        forward, params = operation.function, operation.params
        kind = float if operation.result.dtype == np.float64 else bool

        def function(*numbers: Any) -> Any:
            arrays = [np.bool_(n) if isinstance(n, bool) else np.float64(n) for n in numbers]
            return kind(forward(*arrays, **params))

        name = f"{operation.name}_{len(self.namespace)}"
        self.namespace[name] = function
        return name


def _is_truth(value: Any) -> bool:
    return isinstance(value, Symbol) and value.dtype == np.bool_


def _number(value: Any) -> Expression:
    """A constant."""
    if np.ndim(value):
        raise UnsupportedError(f"a constant has shape {np.shape(value)}, not ()")
    if isinstance(value, (bool, np.bool_)):
        return Expression(str(bool(value)), _ATOM)
    text = repr(float(value))
    return Expression(text, _SIGN if text.startswith("-") else _ATOM)
