"""An optimiser's step as operations of the program: its own formula, run on symbols.

The formula is written for NumPy arrays, which it changes in place. Here its arrays are ``Cell``s,
which hold a symbol and take another one where an array would be written to; and its settings
(learning rate, step count) are ``Scalar``s, whose values are looked up in each run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.tensor import Tensor
from ._symbols import Symbol, UntraceableError

if TYPE_CHECKING:
    from ._tracer import Tracer

_SCALARS = (float, tuple)  # settings of these types may change from run to run


class Scalar:
    """A number that is computed in each run; what the formula decides by it must stay so."""

    def __init__(self, tracer: Tracer, compute: Callable[[], Any]) -> None:
        self.tracer, self.compute = tracer, compute
        self._symbols: dict[Any, Symbol] = {}
        self._truth: bool | None = None

    def symbol(self, dtype: np.dtype[Any]) -> Symbol:
        """The number as an input of the program."""
        if dtype not in self._symbols:
            made = self.tracer.volatile(lambda: np.asarray(self.compute(), dtype), (), dtype)
            self._symbols[dtype] = made
        return self._symbols[dtype]

    def _decided(self, compute: Callable[[], bool]) -> bool:
        value = bool(compute())
        self.tracer.conditions.append((compute, value))
        return value

    def __bool__(self) -> bool:
        if self._truth is None:
            self._truth = self._decided(lambda: bool(self.compute()))
        return self._truth

    def __iter__(self) -> Any:
        """The parts of a pair, such as Adam's betas."""
        parts = [partial(self._part, i) for i in range(len(self.compute()))]
        return iter([Scalar(self.tracer, part) for part in parts])

    def _part(self, number: int) -> Any:
        return self.compute()[number]

    def __float__(self) -> float:
        raise UntraceableError("an optimiser's formula needs the value of a setting")


def _of_scalars(function: Callable[..., Any], *, reflected: bool = False) -> Any:
    def combine(self: Scalar, other: Any) -> Any:
        if isinstance(other, Cell):
            return NotImplemented

        def compute() -> Any:
            value = other.compute() if isinstance(other, Scalar) else other
            return function(value, self.compute()) if reflected else function(self.compute(), value)

        return Scalar(self.tracer, compute)

    return combine


def _comparing(function: Callable[..., Any]) -> Any:
    def compare(self: Scalar, other: Any) -> bool:
        return self._decided(lambda: bool(function(self.compute(), other)))

    return compare


class Cell:
    """An array of the formula: a symbol, and another one after it is written to."""

    def __init__(self, tracer: Tracer, symbol: Any) -> None:
        self.tracer, self.symbol = tracer, symbol

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if method != "__call__" or kwargs:
            raise UntraceableError(f"np.{ufunc.__name__} with {method} or {list(kwargs)}")
        made = self._record(ufunc, *args)
        if out is None:
            return Cell(self.tracer, made)
        out[0].symbol = made
        return out[0]

    def _record(self, ufunc: np.ufunc, *args: Any) -> Symbol:
        symbols = [arg.symbol for arg in args if isinstance(arg, Cell)]
        dtype = symbols[0].dtype
        operands = tuple(
            arg.symbol
            if isinstance(arg, Cell)
            else arg.symbol(dtype)
            if isinstance(arg, Scalar)
            else arg
            for arg in args
        )
        found: Symbol = self.tracer.record(ufunc.__name__, ufunc, operands, {})
        return found


def _operand(value: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(value, Cell):
        return value.symbol
    return value.symbol(dtype) if isinstance(value, Scalar) else value


def _in_cells(ufunc: np.ufunc) -> tuple[Any, Any, Any]:
    def forward(self: Cell, other: Any) -> Cell:
        return Cell(self.tracer, self._record(ufunc, self, other))

    def reflected(self: Cell, other: Any) -> Cell:
        return Cell(self.tracer, self._record(ufunc, other, self))

    def in_place(self: Cell, other: Any) -> Cell:
        self.symbol = self._record(ufunc, self, other)
        return self

    return forward, reflected, in_place


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
}.items():  # fmt: skip
    _function = getattr(operator, _name)
    setattr(Scalar, f"__{_name}__", _of_scalars(_function))
    setattr(Scalar, f"__r{_name}__", _of_scalars(_function, reflected=True))
    for _prefix, _method in zip(("", "r", "i"), _in_cells(_ufunc), strict=True):
        setattr(Cell, f"__{_prefix}{_name}__", _method)
for _name in ("lt", "le", "gt", "ge"):
    setattr(Scalar, f"__{_name}__", _comparing(getattr(operator, _name)))


class Held(Tensor):
    """An array of an optimiser's state, looked up in each run and written to in place."""

    in_place = True

    def __init__(self, optimizer: Any, number: int, name: str, param: Tensor, value: float) -> None:
        self._optimizer, self._number, self._name = optimizer, number, name
        self._param, self._initial = param, value
        self.node = None

    @property
    def data(self) -> Any:
        """The array, made at its first use."""
        try:
            return self._optimizer.state[self._number][self._name]
        except KeyError:
            own = state_of(self._optimizer, self._number)
            own[self._name] = array = np.full_like(self._param.data, self._initial)
            return array


def state_of(optimizer: Any, number: int) -> Any:
    """What an optimiser keeps for a parameter."""
    return optimizer.state.setdefault(number, {"step": 0})


def record_step(tracer: Tracer, optimizer: Any) -> bool:
    """Record what an optimiser's step does, if all its gradients come from this trace."""
    pending = []
    for number, param, group in optimizer._numbered():
        node = param.node
        gradient = tracer.gradients.get(node)
        if node is not None and node not in tracer.cleared:
            return False  # an earlier gradient may be there, and be added
        if gradient is not None:
            if gradient.dtype != param.dtype or not isinstance(param.data, np.ndarray):
                return False
            pending.append((number, param, group, gradient))
    before = tracer.mark()
    settings = {id(group): _scalars(tracer, group) for group in optimizer.param_groups}
    try:
        for number, param, group, gradient in pending:
            own = settings[id(group)]
            _record_update(tracer, optimizer, own, number, param, group, gradient)
    except Exception:  # a formula that symbols cannot follow: it runs as it is written
        tracer.reset(before)
        return False
    numbers = [number for number, *_ in pending]
    fixed = partial(_fixed_settings, optimizer)
    tracer.conditions.append((fixed, fixed()))

    def count() -> None:
        state = optimizer.state
        for number in numbers:
            own = state[number] if number in state else state_of(optimizer, number)
            own["step"] += 1

    tracer.after.append(count)
    return True


def _fixed_settings(optimizer: Any) -> Any:
    """What of an optimiser is no ``Scalar``: its parameters, and settings such as ``nesterov``."""
    return [
        (id(group), [*map(id, group["params"])], [
            (key, value) for key, value in group.items()
            if key != "params" and not isinstance(value, _SCALARS)
        ])
        for group in optimizer.param_groups
    ]  # fmt: skip


def _scalars(tracer: Tracer, group: Any) -> dict[str, Scalar]:
    """The settings of a group that are looked up in each run."""
    return {
        key: Scalar(tracer, partial(group.__getitem__, key))
        for key, value in group.items()
        if key != "params" and isinstance(value, _SCALARS)
    }


def _record_update(
    tracer: Tracer,
    optimizer: Any,
    settings: dict[str, Scalar],
    number: int,
    param: Any,
    group: Any,
    gradient: Any,
) -> None:
    options = {**group, **settings}
    held = {
        name: Held(optimizer, number, name, param, initial)
        for name, initial in optimizer._slots(group).items()
    }
    cells: dict[str, Any] = {name: Cell(tracer, tracer.read(t)) for name, t in held.items()}
    cells["step"] = Scalar(tracer, lambda: state_of(optimizer, number)["step"] + 1)
    array, spare = Cell(tracer, tracer.read(param)), Cell(tracer, None)
    grad = optimizer._descent(array, Cell(tracer, gradient), options, Cell(tracer, None))
    optimizer._update(array, grad, cells, options, spare)
    tracer.assign(param, array.symbol)
    for name, tensor in held.items():
        tracer.assign(tensor, cells[name].symbol)
