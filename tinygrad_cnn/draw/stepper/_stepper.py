"""Reading a result, and writing the page that steps through it."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path

from ... import nn
from ..._core.backprop import _seed
from ..._core.tensor import Tensor
from ..._files import file_path
from ..._graph import Recording, caller_names, differentiate, read
from ...errors import ArgumentError, DtypeError, GraphError
from ...explain.mathml import STYLE
from ...typing import TensorLike
from .._html import page, resource, write_page
from ._story import story

__all__ = ["stepper"]

_MOST = 20_000  # operations

_STYLES = ("stepper.css", "graph.css", "details.css")
_SCRIPTS = tuple(
    f"{name}.js" for name in ("model", "layout", "camera", "view", "parts", "details", "stepper")
)


def stepper(
    loss: Tensor, path: str | os.PathLike[str], *, upstream: TensorLike | None = None
) -> Path:
    """Write a page that steps through a computation, forward and backward, with its numbers.

    One HTML file without a network. The arrow keys step: values fill the graph operation by
    operation, then the gradient flows back from the result, each step with upstream times local
    = downstream, the rule as mathematics, the source line, and at an array with several uses the
    ledger of their contributions. Small arrays are shown in full, larger ones as heat maps. The
    graph folds to layers and functions; ``#step=12`` in the address opens a step; ``?`` lists
    the keys.

    The graph and every ``.grad`` stay as they are. Arrays take at most 2 MB of the page: a large
    graph gets coarser heat maps, then leaves arrays out and says how many. What is said of the
    operations themselves comes to about 300 bytes each: 6 MB for 20,000, which is the limit.

    Args:
        loss: a recorded result of any shape, before ``backward``, or after
            ``backward(retain_graph=True)``.
        path: of the file; ``.html`` is added to a name without a suffix.
        upstream: the gradient to start from, of the shape of ``loss``; ones by default.

    Returns:
        The path of the file.

    Raises:
        DtypeError: ``loss`` is no Tensor, or ``upstream`` does not hold real numbers.
        GraphError: ``loss`` was not recorded, or an earlier backward let go of its values.
        ShapeError: ``upstream`` has another shape.
        ArgumentError: more than 20,000 operations; the folder does not exist, ``path`` is one, or
            it ends in something else than ``.html``.

    >>> import tempfile, tinygrad_cnn as tc
    >>> from tinygrad_cnn.draw.stepper import stepper
    >>> x = tc.tensor(3.0, requires_grad=True, name="x")
    >>> y = x * x + 2 * x
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stepper(y, f"{folder}/square").name
    'square.html'
    """
    path = file_path(path, ".html")  # before the work
    recording = _recorded(loss)
    seed = None if upstream is None else _seed(loss, upstream, create_graph=False)
    names = caller_names(sys._getframe(1))
    told = story(recording, differentiate(recording, seed), names)
    title = f"{told['vertices'][-1].get('name', 'The result')}, step by step"
    title = title.encode("utf-8", "backslashreplace").decode()  # a name may be no valid text
    here = files(__package__)
    text = page(
        title,
        (here / "stepper.html").read_text("utf-8"),
        styles=[STYLE, *(here / name for name in _STYLES)],
        scripts=[resource("arrays.js"), *(here / name for name in _SCRIPTS)],
        data={"title": title, **told},
    )
    return write_page(path, text)


def _recorded(loss: Tensor) -> Recording:
    """The graph, if a page can show it."""
    if isinstance(loss, nn.Module):
        raise DtypeError(
            f"draw.stepper: expected a Tensor, got the module {type(loss).__name__}: pass what it"
            " returns for a batch"
        )
    recording = read(loss, "draw.stepper")
    if recording.freed:
        raise GraphError(
            "draw.stepper: an earlier backward let go of the values: call stepper before it, or"
            " use backward(retain_graph=True)"
        )
    count = sum(1 for vertex in recording if vertex.operation)
    if count > _MOST:
        raise ArgumentError(
            f"draw.stepper: {count:,} operations, a page holds at most {_MOST:,}: step through a"
            " part, such as one layer, a shorter sequence or fewer steps of a loop"
        )
    return recording
