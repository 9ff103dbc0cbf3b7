"""The chain rule of a recorded computation, as a person would write it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
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
from ._lines import Program
from ._page import html_of
from ._program import build
from ._render import latex_of, markdown_of
from ._source import FUNCTION, source_of
from ._symbols import Zoom
from .exercise import Blanks, Exercise

__all__ = ["Derivation", "derive"]

_ZOOMS: tuple[Zoom, ...] = ("layers", "primitives")
# Two ways to add up the same terms differ by rounding: in float64 far less than any mistake.
_TOLERANCE = {"float64": 1e-10, "float32": 1e-3}
_NEGLIGIBLE = 1e-3  # of the largest gradient

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
    known = caller_names(sys._getframe(1))
    for name, value in (names or {}).items():
        known[id(_identity(value))] = name
    right = differentiate(recording)
    return Derivation(recording, right, _targets(recording, right, wrt, known), known)


def _identity(value: Any) -> Any:
    """What a value is found by in the graph: its vertex, or for a constant the array."""
    if isinstance(value, Tensor):
        return value.data if value.node is None else value.node
    return value


def _targets(
    recording: Recording, right: Gradients, wrt: Wanted, known: Mapping[int, str]
) -> dict[str, Vertex]:
    """The vertices asked for, each under the name that its gradient is returned under."""
    if wrt is None:
        roots = [v for v in recording if v.kind in ("parameter", "variable") and v in right.of]
        pairs = [("", vertex) for vertex in roots]
    else:
        pairs = [(name, _vertex(recording, right, t)) for name, t in _tensors(wrt)]
    targets: dict[str, Vertex] = {}
    for given, vertex in pairs:
        name = given or vertex.name or known.get(id(vertex.node)) or "x"
        number, unique = 1, name
        while unique in targets:
            number += 1
            unique = f"{name}{number}"
        targets[unique] = vertex
    if not targets:
        raise GraphError("derive: no gradient reaches any variable: the loss is constant in all")
    return targets


def _tensors(wrt: Any) -> list[tuple[str, Tensor]]:
    if isinstance(wrt, nn.Module):
        found: list[tuple[str, Any]] = [
            (name, p) for name, p in wrt.named_parameters() if p.requires_grad
        ]
    elif isinstance(wrt, Mapping):
        found = list(wrt.items())
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
        error: the largest difference, relative to the largest element of each gradient, between
            what ``numpy()`` computed when this was made and autograd.
    """

    def __init__(
        self,
        recording: Recording,
        right: Gradients,
        targets: Mapping[str, Vertex],
        known: Mapping[int, str],
    ) -> None:
        self._recording, self._right, self._targets = recording, right, dict(targets)
        self._programs: dict[str, Program] = {}
        for zoom in _ZOOMS:
            self._programs[zoom] = build(recording, targets, known, zoom)
        self.error = max(self._checked(zoom) for zoom in _ZOOMS)

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

    def _repr_latex_(self) -> str:
        return self.latex()

    def _program(self, zoom: str) -> Program:
        if zoom not in self._programs:
            raise ArgumentError(f"derivation: zoom={zoom!r}, expected {' or '.join(_ZOOMS)}")
        return self._programs[zoom]

    def _checked(self, zoom: Zoom) -> float:
        """Run the generated function and compare it with autograd.

        Raises:
            GraphError: they differ.
        """
        source = self.numpy(zoom)
        space: dict[str, Any] = {}
        exec(compile(source, f"<derivation by {zoom}>", "exec"), space)
        arguments = {name: np.array(array) for name, array in self.inputs(zoom).items()}
        loss, gradients = space[FUNCTION](**arguments)
        pairs = [("the loss", loss, self._recording.result.value)]
        for name, vertex in self._targets.items():
            pairs.append((f"the gradient of {name}", gradients[name], self._right.of[vertex]))
        # A gradient that is 0 but for rounding (a bias before batch norm) has no scale of its own.
        least = _NEGLIGIBLE * max(_largest(right) for _, _, right in pairs[1:])
        worst = 0.0
        for what, found, right in pairs:
            tolerance = _TOLERANCE.get(np.asarray(right).dtype.name, 1e-3)
            error = _difference(np.asarray(found), np.asarray(right), least)
            if not error <= tolerance:
                raise GraphError(
                    f"derive: {what} by the generated code differs from autograd by {error:.1e}"
                    f" (zoom {zoom!r}): a formula is wrong, or the values were changed in place"
                    " since they were recorded"
                )
            worst = max(worst, error)
        return worst


def _largest(values: Any) -> float:
    finite = np.abs(values)[np.isfinite(values)]
    return float(finite.max(initial=0.0))


def _difference(found: Array, right: Array, least: float) -> float:
    """The largest difference, relative to the largest element or to ``least``."""
    if found.shape != right.shape or not np.array_equal(np.isnan(found), np.isnan(right)):
        return float("inf")
    with np.errstate(invalid="ignore"):
        differences = np.where(found == right, 0.0, np.abs(found - right))
    worst = float(np.nanmax(differences, initial=0.0))
    scale = max(_largest(right), least)
    return worst / scale if scale else worst
