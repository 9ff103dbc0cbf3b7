"""The chain rule of a recorded computation, as a person would write it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Iterable, Mapping
from os import PathLike as OsPathLike
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np

from .. import nn
from .._core.tensor import Tensor
from .._files import write_text
from .._graph import Gradients, Recording, Vertex, caller_names, differentiate, read
from ..errors import ArgumentError, DtypeError, GraphError, ShapeError
from ..typing import Array
from ._agreement import TOLERANCE, Reference, error, in_double, widened
from ._lines import Program
from ._page import html_of
from ._program import build
from ._render import latex_of, markdown_of
from ._source import FUNCTION, source_of
from ._symbols import Zoom
from .exercise import Blanks, Exercise

__all__ = ["Derivation", "derive"]

_ZOOMS: tuple[Zoom, ...] = ("layers", "primitives")

PathLike: TypeAlias = str | OsPathLike[str]
Wanted: TypeAlias = Tensor | nn.Module | Iterable[Tensor] | Mapping[str, Tensor] | None


def derive(
    loss: Tensor, wrt: Wanted = None, *, names: Mapping[str, Tensor | Array] | None = None
) -> Derivation:
    """Derive the gradients of a loss on paper: as mathematics, and as a NumPy function.

    Everything is called as in the user's code: after the variables of the calling function
    that hold a Tensor or an array, after parameters, and after what a line assigns to.

    Args:
        loss: one number, recorded, before ``backward`` (or after it with ``retain_graph``).
        wrt: what to differentiate by: Tensors, a module's parameters, or Tensors by the names
            that the gradients shall have; by default all variables and parameters.
        names: what else to call by a name, where no variable of the caller says it.

    Raises:
        GraphError: the loss was not recorded, its values were freed, it does not depend on
            something of ``wrt``, or an operation has no formula.
        ShapeError: the loss is not one number.
        DtypeError: something of ``wrt`` is no Tensor.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> x = np.array([1.0, 2.0])
    >>> w = tc.tensor([3.0, 4.0], requires_grad=True)
    >>> loss = (w * x).sum()
    >>> code = tc.explain.derive(loss).numpy()
    >>> [line.strip() for line in code.splitlines() if "dw = " in line]
    ['dw = np.full((2,), dloss) * x  # (2,)']
    """
    recording = read(loss, "derive")
    if loss.size != 1:
        raise ShapeError(f"derive: expected one number, got shape {loss.shape}: sum or average it")
    if recording.freed:
        raise GraphError(
            "derive: the values were freed by backward: derive before it, or pass"
            " retain_graph=True to it"
        )
    if not recording.result.operation:
        raise GraphError("derive: this is a variable itself: nothing was computed from it")
    known = _known(recording, caller_names(sys._getframe(1)), wrt, names)
    targets = _targets(recording, differentiate(recording), wrt, known)
    return Derivation(recording, targets, known)


def _known(recording: Recording, known: dict[int, str], wrt: Any, names: Any) -> dict[int, str]:
    """What the user calls things: what was told here goes before a parameter's own name."""
    if names is not None and not isinstance(names, Mapping):
        raise DtypeError(
            f"derive: names: expected a dict from name to Tensor, got {type(names).__name__}"
        )
    there: dict[int, Vertex | None] = {
        id(value): None for vertex in recording for value in vertex.params.values()
    }
    there.update((id(part), v) for v in recording for part in (v.node, v.value))
    for name, value in (names or {}).items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise DtypeError(
                "derive: names: expected a dict from name to Tensor or array, got"
                f" {name!r}: {type(value).__name__}"
            )
        found = id(_identity(value))
        if found not in there:
            raise ArgumentError(
                f"derive: names: {name!r} is a value of shape {value.shape} that took no part in"
                " the loss"
            )
        vertex = there[found]
        known[found if vertex is None else id(vertex)] = name
    for name, value in wrt.items() if isinstance(wrt, Mapping) else ():
        vertex = there.get(id(_identity(value)))
        if vertex is not None and isinstance(name, str):
            known.setdefault(id(vertex), name)
    return known


def _identity(value: Any) -> Any:
    """What a value is found by in the graph: its vertex, or for a constant the array."""
    if isinstance(value, Tensor):
        return value.data if value.node is None else value.node
    return value


def _targets(
    recording: Recording, right: Gradients, wrt: Wanted, known: dict[int, str]
) -> dict[str, Vertex]:
    """The vertices asked for, each under the name that its gradient is returned under."""
    if wrt is None:
        roots = [v for v in recording if v.kind in ("parameter", "variable") and v in right.of]
        pairs = [("", vertex) for vertex in roots]
    else:
        pairs = [(name, _vertex(recording, right, t)) for name, t in _tensors(wrt)]
    targets: dict[str, Vertex] = {}
    taken = {*known.values(), *(v.name for v in recording if v.name)}
    for given, vertex in pairs:
        own = known.get(id(vertex)) or vertex.name or known.get(id(vertex.node))
        name = given or own or _free("x", taken)
        if not given and not own:
            known[id(vertex)] = name  # the argument of the function is called so too
        unique = name if name not in targets else _free(name, {*taken, *targets})
        taken.add(unique)
        targets[unique] = vertex
    if not targets:
        raise GraphError("derive: no gradient reaches any variable: the loss is constant in all")
    return targets


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it where it is taken."""
    numbered = (f"{name}{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n not in taken)


def _tensors(wrt: Any) -> list[tuple[str, Tensor]]:
    if isinstance(wrt, nn.Module):
        found: list[tuple[str, Any]] = [
            (name, p) for name, p in wrt.named_parameters() if p.requires_grad
        ]
    elif isinstance(wrt, Mapping):
        found = list(wrt.items())
        if wrong := [name for name in wrt if not isinstance(name, str)]:
            raise DtypeError(
                f"derive: wrt: expected a dict from name to Tensor, got the key {wrong[0]!r}"
            )
    else:
        listed = list(wrt) if isinstance(wrt, Iterable) and not isinstance(wrt, Tensor) else [wrt]
        found = [("", tensor) for tensor in listed]
    for name, value in found:
        if not isinstance(value, Tensor):
            raise DtypeError(
                f"derive: wrt={name or '…'}: expected Tensors, got {type(value).__name__}"
            )
    if not found:
        raise ArgumentError("derive: wrt names nothing to differentiate by")
    return found


def _vertex(recording: Recording, right: Gradients, tensor: Tensor) -> Vertex:
    vertex = None if tensor.node is None else recording.vertex(tensor.node)
    if vertex is None or vertex not in right.of:
        called = tensor.name or f"a Tensor of shape {tensor.shape}"
        why = "requires no gradient" if tensor.node is None else "no gradient reaches"
        raise GraphError(f"derive: the loss can't be differentiated by {called}, which {why}")
    return vertex


class Derivation:
    """The gradients of one recorded loss, derived.

    Made by ``derive``. Each form is there at two zooms: ``"layers"`` writes functions such as
    conv2d as a whole, ``"primitives"`` goes through every operation.

    Attributes:
        error: the largest difference between what ``numpy()`` computed when this was made and
            autograd, both in float64 whatever the model's dtype: relative to the largest element
            of each gradient, or of one that is 0 but for rounding to what that can make of it.
            It is at most 1e-10.
    """

    def __init__(
        self,
        recording: Recording,
        targets: Mapping[str, Vertex],
        known: Mapping[int, str],
    ) -> None:
        self._recording, self._targets = recording, dict(targets)
        self._programs: dict[str, Program] = {}
        for zoom in _ZOOMS:
            self._programs[zoom] = build(recording, targets, known, zoom)
        reference = Reference(recording, self._targets.values())
        self.error = max(self._checked(zoom, reference) for zoom in _ZOOMS)

    def inputs(self, zoom: Zoom = "layers") -> dict[str, Array]:
        """The arguments of the generated function, as they were when the loss was computed.

        They are shared with the graph, not copied.

        Raises:
            ArgumentError: another zoom.
        """
        return {symbol.code: array for symbol, array in self._program(zoom).inputs.items()}

    def numpy(self, zoom: Zoom = "layers") -> str:
        """The text of a NumPy function ``loss_and_gradients(…) -> (loss, gradients by name)``.

        It needs nothing but NumPy. Calling it with ``inputs()`` gives what autograd gives, which
        was checked when the derivation was made.

        Raises:
            ArgumentError: another zoom.
        """
        return source_of(self._program(zoom))

    def latex(self, zoom: Zoom = "layers", *, shapes: bool = True) -> str:
        """Numbered equations for a document that uses amsmath, and for MathJax and KaTeX.

        Args:
            zoom: whole functions, or every operation.
            shapes: whether the shape stands below every array.

        Raises:
            ArgumentError: another zoom.
        """
        return latex_of(self._program(zoom), shapes=shapes)

    def markdown(self, zoom: Zoom = "layers", *, shapes: bool = True) -> str:
        """The equations with headings, and the NumPy function, as GitHub and Jupyter show them.

        Args:
            zoom, shapes: as in ``latex``.

        Raises:
            ArgumentError: another zoom.
        """
        return markdown_of(self._program(zoom), shapes=shapes, code=self.numpy(zoom))

    @overload
    def html(self, path: None = None, *, zoom: Zoom = ..., shapes: bool = ...) -> str: ...
    @overload
    def html(self, path: PathLike, *, zoom: Zoom = ..., shapes: bool = ...) -> Path: ...
    def html(
        self, path: PathLike | None = None, *, zoom: Zoom = "layers", shapes: bool = True
    ) -> str | Path:
        """One page with equations in MathML and the code of each; it needs no network.

        Args:
            path: a file to write; without it the text is returned.
            zoom, shapes: as in ``latex``.

        Raises:
            ArgumentError: another zoom, or the folder of ``path`` does not exist.
        """
        text = html_of(self._program(zoom), shapes=shapes, code=self.numpy(zoom))
        return text if path is None else write_text(path, text, ".html")

    def exercise(self, blanks: Blanks = "backward", *, zoom: Zoom = "layers") -> Exercise:
        """The same derivation with blanks, and a checker for what is filled in.

        Args:
            blanks: ``"backward"``: every right side of the backward pass; ``"gradients"``: those
                of the gradients asked for; or numbers of equations.
            zoom: as in ``latex``.

        Raises:
            ArgumentError: another zoom, or no such equations.
        """
        return Exercise(self._program(zoom), self._recording, blanks)

    def __repr__(self) -> str:
        loss, count = self._program("layers").loss.code, len(self._program("layers").lines())
        return (
            f"<Derivation of {loss} by {', '.join(self._targets)}: {count} equations, within"
            f" {self.error:.0e} of autograd>"
        )

    def _repr_latex_(self) -> str:
        return self.latex()

    def _program(self, zoom: str) -> Program:
        if zoom not in self._programs:
            raise ArgumentError(f"derivation: zoom={zoom!r}, expected {' or '.join(_ZOOMS)}")
        return self._programs[zoom]

    def _checked(self, zoom: Zoom, reference: Reference) -> float:
        """Run the generated function and compare it with autograd.

        Raises:
            GraphError: it fails, or they differ.
        """
        arguments = {name: widened(array) for name, array in self.inputs(zoom).items()}
        space: dict[str, Any] = {}
        try:
            with np.errstate(all="ignore"):
                exec(compile(in_double(self.numpy(zoom)), f"<derivation by {zoom}>", "exec"), space)
                loss, gradients = space[FUNCTION](**arguments)
        except Exception as failure:
            raise GraphError(
                f"derive: the generated code fails: {type(failure).__name__}: {failure} (zoom"
                f" {zoom!r}): the text of a formula is wrong"
            ) from failure
        errors = {"the loss": error(loss, reference.loss, reference.noise[None])}
        for name, vertex in self._targets.items():
            right, noise = reference.gradients[vertex], reference.noise[vertex]
            errors[f"the gradient of {name}"] = error(gradients[name], right, noise)
        for what, found in errors.items():
            if not found <= TOLERANCE:
                raise GraphError(
                    f"derive: {what} by the generated code differs from autograd by {found:.1e}"
                    f" (zoom {zoom!r}): a formula is wrong"
                )
        return max(errors.values())
