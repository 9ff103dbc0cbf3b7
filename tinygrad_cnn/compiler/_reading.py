"""What each call of a program reads before it runs, and whether the program fits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._core.tensor import Tensor
from ._program import needed
from ._symbols import Operation, Symbol, symbols_in

if TYPE_CHECKING:
    from ._trace import Trace


class Reading:
    """The arrays around a trace, made ready to be read in each call."""

    def __init__(self, trace: Trace) -> None:
        tracer, known = trace.tracer, trace.surroundings.known
        self._trace = trace
        self._tensors = list(tracer.parameters.values())
        self._captured = list(tracer.constants.values())
        self._draws = list(tracer.draws.values())
        # Tensors that are known are looked at with the surroundings.
        others = {s for s, tensor in tracer.parameters.items() if id(tensor) not in known}
        others |= set(tracer.constants)
        self._others = [number for number, symbol in enumerate(trace.inputs) if symbol in others]
        self._shapes = [trace.inputs[number].shape for number in self._others]
        self._dtypes = [trace.inputs[number].dtype for number in self._others]
        symbols = [guard.symbol for guard in tracer.guards]
        operations = needed(tracer.operations, symbols)
        used = {*symbols, *(s for operation in operations for s in operation.operands())}
        self._asked = [number for number, symbol in enumerate(trace.inputs) if symbol in used]
        inputs = [trace.inputs[number] for number in self._asked]
        self._guarded = _straight_line(inputs, operations, symbols)

    def arrays(self, leaves: Sequence[Any]) -> list[Any]:
        """The inputs of the program that are there before a call: all but the draws."""
        given = [leaf.data if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return given + [tensor.data for tensor in self._tensors] + self._captured

    def draws(self) -> list[Any]:
        """The inputs that are made anew in each call."""
        return [draw() for draw in self._draws]

    def misfit(self, arrays: Sequence[Any], leaves: Sequence[Any]) -> str:
        """Why a call with these arrays needs another program, or nothing."""
        others = [arrays[number] for number in self._others]
        if [array.shape for array in others] != self._shapes or [
            array.dtype for array in others
        ] != self._dtypes:
            return "an array that it reads has another shape or dtype than when recorded"
        trace, tracer = self._trace, self._trace.tracer
        if any(node.grad is not None for node in trace.real(tracer.unkept, leaves)):
            return "a gradient is kept from before, and the function reads it"
        if tracer.guards:
            found = self._guarded(*[arrays[number] for number in self._asked])
            for guard, value in zip(tracer.guards, found, strict=True):
                if value != guard.value:
                    source = guard.source
                    return f"a value that Python used is another than when recorded{source}"
        return ""


def _straight_line(
    inputs: Sequence[Symbol], operations: Sequence[Operation], outputs: Sequence[Any]
) -> Callable[..., list[Any]]:
    """Operations as one Python function, which looks no operand up by its symbol."""
    names = {symbol: f"x{number}" for number, symbol in enumerate(inputs)}
    constants: dict[str, Any] = {}
    known: dict[str, str] = {}  # the names of expressions

    def text(value: Any) -> str:
        if isinstance(value, Symbol):
            return names[value]
        if type(value) is tuple and any(True for _ in symbols_in(value)):
            return f"({''.join(f'{text(item)}, ' for item in value)})"
        name = f"c{id(value)}"
        constants[name] = value
        return name

    lines = [f"def guarded({', '.join(names.values())}):"]
    for operation in operations:
        args = [*map(text, operation.args)]
        args += [f"{key}={text(value)}" for key, value in operation.params.items()]
        made = f"{text(operation.function)}({', '.join(args)})"
        if made not in known:
            known[made] = f"t{len(known)}"
            lines.append(f"    {known[made]} = {made}")
        names[operation.result] = known[made]
    lines.append(f"    return [{', '.join(map(text, outputs))}]")
    exec("\n".join(lines), constants)
    function: Callable[..., list[Any]] = constants["guarded"]
    return function
