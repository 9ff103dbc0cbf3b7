"""From a recorded graph to the lines of its derivation."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping

from .._core.context import Scope, enclosing
from .._graph import Recording, Vertex
from ..typing import Array
from ._fuse import fuse
from ._lines import Line, Phase, Program, Section, Term
from ._symbols import Names, Symbol, Zoom
from ._unit import LayerUnit, Unit
from .layers import LAYERS, Call


def build(
    recording: Recording, targets: Mapping[str, Vertex], known: Mapping[int, str], zoom: Zoom
) -> Program:
    """Write the derivation of the gradients by the targets.

    Args:
        recording: of the loss, with its values.
        targets: the vertices asked for, by the name under which the gradient is returned.
        known: what the user's variables are called, as ``caller_names`` finds them.
        zoom: whether functions such as conv2d are written as a whole.
    """
    names = Names(recording, known, zoom)
    program = _Builder(recording, targets, names, zoom).program()
    written = {line.target for line in program.lines()}
    joined = {v for v in recording if v.operation and names.has(v) and names[v] not in written}
    if joined:  # once more, so that no number is spent on what became part of an expression
        names = Names(recording, known, zoom, joined)
        program = _Builder(recording, targets, names, zoom).program()
    return program


class _Builder:
    def __init__(
        self, recording: Recording, targets: Mapping[str, Vertex], names: Names, zoom: Zoom
    ) -> None:
        self.recording, self.targets, self.names, self.zoom = recording, targets, names, zoom
        self.needed = _leading_to(recording, set(targets.values()))
        self.wrt = {vertex: name for name, vertex in targets.items()}
        self.inputs: dict[Symbol, Array] = {}
        self.helpers: dict[str, None] = {}  # a set that keeps its order
        self.units = list(self._units(zoom))

    def program(self) -> Program:
        forward = [self._section("forward", unit, unit.forward()) for unit in self.units]
        backward = list(self._backward())
        outputs = {name: self.names.gradient(vertex) for name, vertex in self.targets.items()}
        for unit in self.units:
            self.inputs.update(unit.inputs)
            self.helpers.update(dict.fromkeys(unit.helpers))
        sections = [section for section in (*forward, *backward) if section.lines]
        if self.zoom == "layers":
            sections = fuse(sections, "backward", set(outputs.values()))
            # What has a gradient to be written down keeps its own name too.
            written = {line.target for section in sections for line in section.lines}
            kept = {self.names[v] for v, gradient in self.names.gradients() if gradient in written}
            sections = fuse(sections, "forward", kept | {self.names[self.recording.result]})
        arguments, labels = self._arguments(sections)
        loss = self.names[self.recording.result]
        helpers, vertices = tuple(self.helpers), self.names.vertices()
        return Program(sections, arguments, labels, loss, outputs, helpers, vertices)

    # -- units -------------------------------------------------------------------------------

    def _units(self, zoom: Zoom) -> Iterator[Unit | LayerUnit]:
        inside = _by_scope(self.recording) if zoom == "layers" else {}
        used_by = _consumers(self.recording)
        tried: dict[Scope, LayerUnit | None] = {}
        done: set[Scope] = set()
        for vertex in self.recording:
            if not vertex.operation:
                continue
            for scope in _functions(vertex.scope) if zoom == "layers" else ():
                if scope not in tried:
                    tried[scope] = self._layer_unit(scope, inside[scope], used_by)
                unit = tried[scope]
                if unit is not None:
                    if scope not in done:
                        done.add(scope)
                        yield unit
                    break
            else:
                yield Unit(vertex, self.names, self.needed)

    def _layer_unit(
        self, scope: Scope, vertices: list[Vertex], used_by: Mapping[Vertex, set[Vertex]]
    ) -> LayerUnit | None:
        """The call as a whole, if its function has a derivation that applies."""
        layer, own = LAYERS.get(scope.name), set(vertices)
        leaving = [v for v in vertices if v is self.recording.result or used_by[v] - own]
        if layer is None or len(leaving) != 1:
            return None
        call = Call(scope, vertices, self.recording, leaving[0], self.names, self.needed)
        entering = {o for v in vertices for o in v.operands if o not in own and o in self.needed}
        if not entering <= call.operands() or not layer.applies(call):
            return None
        return LayerUnit(layer, call)

    # -- the backward pass -------------------------------------------------------------------

    def _backward(self) -> Iterator[Section]:
        """The sections from the loss back; a variable stands where its last term comes from."""
        result = self.recording.result
        one = f"np.ones({result.shape})" if result.shape else "1.0"
        terms: dict[Vertex, list[Term]] = {result: [Term("1", one, {})]}
        passes: list[tuple[Unit | LayerUnit, list[Line]]] = []
        last: dict[Vertex, Unit | LayerUnit] = {}
        for unit in reversed(self.units):
            if unit.output not in terms:
                continue
            [*others, term] = terms[unit.output]
            if not others and term.numpy == term.latex == "$g" and unit.output not in self.wrt:
                self.names.share_gradient(unit.output, term.symbols["g"])
                del terms[unit.output]
            lines, passed = unit.backward()
            passes.append((unit, lines))
            for vertex, term in passed:
                terms.setdefault(vertex, []).append(term)
                last[vertex] = unit
        used = {s for _, lines in passes for line in lines for s in line.uses()}
        used.update(s for ts in terms.values() for term in ts for s in term.uses())
        arrivals: dict[Unit | LayerUnit, list[Vertex]] = {}
        for vertex, contributor in last.items():
            arrivals.setdefault(contributor, []).append(vertex)
        for unit, lines in passes:
            arrived = arrivals.get(unit, [])
            arrived.sort(key=lambda vertex: bool(vertex.operation))  # variables first
            if unit.output is result:
                arrived.insert(0, result)
            named = [
                self._gradient(vertex, terms)
                for vertex in arrived
                if vertex in terms and (vertex in self.wrt or self.names.gradient(vertex) in used)
            ]
            yield self._section("backward", unit, list(_woven(lines, named)))

    def _gradient(self, vertex: Vertex, terms: Mapping[Vertex, list[Term]]) -> Line:
        paths = len(terms[vertex])
        note = f"the sum over {paths} paths" if paths > 1 else ""
        wrt = self.wrt.get(vertex, "")
        return Line(self.names.gradient(vertex), tuple(terms[vertex]), note, wrt)

    def _section(self, phase: Phase, unit: Unit | LayerUnit, lines: list[Line]) -> Section:
        source = unit.output.source
        text = source.text if source else ""
        by_line = self.zoom == "layers" and isinstance(unit, Unit) and text
        return Section(phase, text if by_line else unit.title, lines, text)

    def _arguments(self, sections: list[Section]) -> tuple[dict[Symbol, Array], dict[Symbol, str]]:
        """What the generated function is given: data first, then what is differentiated by."""
        used = {s for section in sections for line in section.lines for s in line.uses()}
        roots = [v for v in self.recording if not v.operation and self.names[v] in used]
        arrays = {  # a literal is no argument
            self.names[v]: v
            for v in roots
            if (code := self.names[v].code).isidentifier() and not keyword.iskeyword(code)
        }
        data = {s: v.value for s, v in arrays.items() if not v.requires_grad}
        given = {s: a for s, a in self.inputs.items() if s in used and s not in arrays}
        variables = {s: v.value for s, v in arrays.items() if v.requires_grad}
        labels = {s: arrays[s].name or s.code for s in variables} | {s: s.code for s in data}
        labels.update((s, s.code) for s in given)
        return {**data, **given, **variables}, labels


def _woven(lines: list[Line], gradients: list[Line]) -> Iterator[Line]:
    """Each helper value before the first gradient that needs it."""
    waiting = list(lines)
    for gradient in gradients:
        uses = gradient.uses()
        while any(line.target in uses for line in waiting):
            yield waiting.pop(0)
        yield gradient
    yield from waiting


def _leading_to(recording: Recording, targets: set[Vertex]) -> set[Vertex]:
    """The vertices through which a gradient reaches a target."""
    needed = set(targets)
    for vertex in recording:
        if any(f and o in needed for o, f in zip(vertex.operands, vertex.flows, strict=True)):
            needed.add(vertex)
    return needed


def _consumers(recording: Recording) -> dict[Vertex, set[Vertex]]:
    found: dict[Vertex, set[Vertex]] = {vertex: set() for vertex in recording}
    for vertex in recording:
        for operand in vertex.operands:
            found[operand].add(vertex)
    return found


def _functions(scope: Scope | None) -> list[Scope]:
    """The calls of functions around a vertex, the outermost first."""
    return [outer for outer in enclosing(scope) if outer.kind == "function"][::-1]


def _by_scope(recording: Recording) -> dict[Scope, list[Vertex]]:
    """What was computed in each call."""
    found: dict[Scope, list[Vertex]] = {}
    for vertex in recording:
        for scope in _functions(vertex.scope) if vertex.operation else ():
            found.setdefault(scope, []).append(vertex)
    return found
