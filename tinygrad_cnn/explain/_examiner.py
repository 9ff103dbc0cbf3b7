"""Why an answer in an exercise is wrong: the doctor's view of single lines of a derivation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.tensor import Tensor
from .._graph import Recording, Vertex
from ..check import Finding, diagnose
from ..check._compare import same
from ..check._edits.edit import said
from ..ops import sum
from ..typing import Array
from ._answers import Answer, Steps, numbers
from ._lines import Program
from ._replay import replay

__all__ = ["Examiner"]

# Causes of which the right equation with another value in it is the clearest evidence.
_OTHER_VALUE = ("wrong_mask", "wrong_saved_value")
_FAILURES = (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError)


class Examiner:
    """Asks the doctor about gradients that a derivation has and an answer gets wrong.

    Args:
        inputs: of the program, by name.
        right: the value of every name at these inputs.
    """

    def __init__(
        self,
        program: Program,
        recording: Recording,
        steps: Steps,
        inputs: Mapping[str, Any],
        right: Mapping[str, Any],
    ) -> None:
        self._recording, self._steps, self._inputs, self._right = recording, steps, inputs, right
        self._loss = program.loss.code
        values = [*program.inputs, *(line.target for line in program.lines("forward"))]
        self._values = {  # the name of the value of a vertex
            program.vertices[symbol]: symbol.code for symbol in values if symbol in program.vertices
        }
        self._called = _called(program)
        gradients = [line.target for line in program.lines("backward")]
        self._by = {  # by the name of a gradient what it is the gradient by
            symbol.code: vertex
            for symbol in gradients
            if (vertex := program.vertices.get(symbol)) in self._values
        }

    def is_gradient(self, name: str) -> bool:
        """Whether an equation gives a gradient, and no other value that it needs on the way."""
        return name in self._by or (name.startswith("d") and name not in self._values.values())

    def findings(self, wrong: Mapping[str, Array], answer: Answer) -> Iterator[tuple[str, Finding]]:
        """Pairs of the name of a wrong gradient and a cause; none for what is right after all."""
        roots = {self._values[v]: v for v in self._values if self._is_variable(v)}
        inside = [
            name for name in wrong if name in self._by and self._values[self._by[name]] not in roots
        ]
        known = [name for name in wrong if name in self._by and name not in inside]
        groups = [(roots, known)] if known else []
        groups += [({self._values[self._by[name]]: self._by[name]}, [name]) for name in inside]
        for arguments, names in groups:
            for name, finding in self._diagnosed(arguments, names, wrong, answer):
                yield name, self._in_words_of_the_page(name, wrong[name], finding)
        for name in wrong:
            if name not in self._by:
                for finding in self._compared(name, wrong[name]):
                    yield name, self._in_words_of_the_page(name, wrong[name], finding)

    def _is_variable(self, vertex: Vertex) -> bool:
        return not vertex.operation and vertex.spec.dtype.kind == "f"

    def _diagnosed(
        self,
        arguments: Mapping[str, Vertex],
        names: list[str],
        wrong: Mapping[str, Array],
        answer: Answer,
    ) -> Iterator[tuple[str, Finding]]:
        """The gradients by some vertices, of the loss as a function of these."""
        again = replay(self._recording, list(arguments.values()))
        gradient_of = {
            self._values[vertex]: name
            for name, vertex in self._by.items()
            if self._values[vertex] in arguments
        }

        def reference(*values: Any) -> Tensor:
            return sum(again(*values))

        def answered(_: Any, *values: Array) -> dict[str, Array | None]:
            changed = dict(zip(arguments, values, strict=True))
            right = self._steps.values({**self._inputs, **changed}, changed)
            if not same(np.asarray(right[self._loss]), np.asarray(again(*values).data)):
                raise ValueError("what was recorded as a constant depends on these values")
            attempt = answer.attempt(right)
            found = {
                value: numbers(attempt.values[name] if name in names else right[name])
                for value, name in gradient_of.items()
            }
            if any(gradient is None for gradient in found.values()):
                raise ValueError("at these values it gives no numbers")
            return found

        arrays = {value: np.asarray(self._right[value]) for value in arguments}
        hand: Any = answered
        inside = not arguments.keys() <= self._inputs.keys()
        mere_numbers = not answer.fixed.isdisjoint(names) or (inside and not answer.stepwise)
        if mere_numbers or not _works(answered, arrays):
            hand = {v: wrong.get(n, self._right[n]) for v, n in gradient_of.items()}
        for finding in diagnose(reference, arrays, hand).findings:
            for name in names if finding.input is None else [gradient_of[finding.input]]:
                yield name, finding

    def _in_words_of_the_page(self, name: str, value: Array, finding: Finding) -> Finding:
        """Another value that stands in the right equation, or operations as the page calls them."""
        if finding.cause in ("unknown", *_OTHER_VALUE):
            cause = finding.cause if finding.cause in _OTHER_VALUE else "wrong_saved_value"
            for used, other, changed in self._steps.exchanges(name, self._right):
                if self._gives(name, changed, value):
                    evidence = (
                        f"with {other} in the place of {used} the equation gives your numbers"
                    )
                    return replace(finding, cause=cause, evidence=evidence)
        evidence = finding.evidence
        for operation, called in self._called.items():
            for text in (f"the result of {operation}", operation):
                evidence = evidence.replace(text, called)
        return replace(finding, evidence=evidence)

    def _gives(self, name: str, values: Mapping[str, Any], value: Array) -> bool:
        """Whether an equation has this result; with indices of something else it may have none."""
        try:
            return same(value, np.asarray(self._steps.value(name, values)))
        except _FAILURES:
            return False

    def _compared(self, name: str, value: Array) -> Iterator[Finding]:
        """A helper value, which is no gradient by anything recorded: as that of a linear function.

        So the doctor sees what can be seen without the graph: signs, factors, transposes.
        """
        right = np.asarray(self._right[name])
        x = np.random.default_rng(0).standard_normal(right.shape)
        variable = name.removeprefix("d")
        found = diagnose(lambda x: sum(x * right), {variable: x}, {variable: value})
        for finding in found.findings:
            yield replace(finding, math="")


def _called(program: Program) -> dict[str, str]:
    """For the operations of the recording, as the doctor names them, the names on the page.

    The longest first, of which others may be a part. What several equations compute has none.
    """
    found: dict[str, str] = {}
    several = set()
    for number, line in enumerate(program.lines("forward"), 1):
        vertex = program.vertices.get(line.target)
        if vertex is None or vertex.node is None or not vertex.operation:
            continue
        operation = said(vertex.node)
        if "(" not in operation:  # a mere word, which may be part of others
            continue
        if operation in found:
            several.add(operation)
        found[operation] = f"{line.target.code} of equation ({number})"
    texts = sorted(found.keys() - several, key=len, reverse=True)
    return {operation: found[operation] for operation in texts}


def _works(function: Any, arrays: Mapping[str, Array]) -> bool:
    """Whether the answer can be tried again: it may fail in any way that its author chose."""
    try:
        function(1.0, *arrays.values())
    except _FAILURES:
        return False
    return True
