"""Reading elements by index, and adding to them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...typing import Array
from .._formula import Formula, Operation, Rule, broadcast_sum


class _Part(NamedTuple):
    """What stands between two commas of an index."""

    latex: str
    numpy: str
    is_slice: bool = False


def _parts(op: Operation) -> list[_Part]:
    index = op.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    return [_part(op, part, parts) for part in parts]


def _part(op: Operation, part: Any, parts: tuple[Any, ...]) -> _Part:
    if isinstance(part, slice):
        text = _slice_text(part)
        return _Part(rf"\text{{{text}}}", text, is_slice=True)
    if part is Ellipsis:
        return _Part(r"\ldots", "...", is_slice=True)
    if part is None:
        return _Part(r"\text{new}", "None")
    if np.ndim(part) == 0:
        text = str(np.asarray(part).item())
        return _Part(rf"\text{{{text}}}", text)
    if (counted := _arange(part)) is not None:
        return _Part(rf"\text{{0:{part.size}}}", counted)
    placeholder = op.given(_role(part, parts), part)
    return _Part(placeholder, placeholder)


def _slice_text(part: slice) -> str:
    """A slice as it is written.

    >>> _slice_text(slice(0, 2)), _slice_text(slice(None, None, -1)), _slice_text(slice(1, None))
    ('0:2', '::-1', '1:')
    """
    start, stop = ("" if end is None else str(end) for end in (part.start, part.stop))
    return f"{start}:{stop}" + ("" if part.step is None else f":{part.step}")


def _arange(array: Array) -> str | None:
    """The call that makes an array of 0, 1, 2 … along one of its axes."""
    axis = int(np.argmax(array.shape))
    n = array.shape[axis]
    if array.dtype.kind not in "iu" or array.size != n or (array.ravel() != np.arange(n)).any():
        return None
    if array.ndim == 1:
        return f"np.arange({n})"
    return f"np.arange({n})[{', '.join(':' if i == axis else 'None' for i in range(array.ndim))}]"


def _role(part: Array, parts: tuple[Any, ...]) -> str:
    """What to call an array of the index, unless the user has a name for it."""
    if part.dtype.kind == "b":
        return "mask"
    arrays = [p for p in parts if np.ndim(p) and not isinstance(p, str)]
    if len(arrays) == 2 and all(np.ndim(p) == 1 for p in arrays) and _arange(arrays[0]):
        return "labels"
    given = [p for p in arrays if _arange(p) is None]
    number = next(i for i, p in enumerate(given) if p is part)
    return f"index{number + 1}" if len(given) > 1 else "index"


def _picks_from_rows(op: Operation, shape: Any) -> bool:
    """Whether the index is ``arange(N), labels``: of every row of a matrix one element."""
    index = op.params["index"]
    return (
        isinstance(index, tuple)
        and len(index) == len(shape) == 2
        and all(np.ndim(part) == 1 for part in index)
        and _arange(index[0]) is not None
        and np.asarray(index[1]).dtype.kind in "iu"
    )


# -- reading ---------------------------------------------------------------------------------------


def _read_latex(name: str, op: Operation, shape: Any) -> str:
    parts = _parts(op)
    if _picks_from_rows(op, shape):
        return rf"{{{name}}}_{{n,\,{{{parts[1].latex}}}_{{n}}}}"
    return rf"{name}\left[ {_comma(parts)} \right]"


def _comma(parts: list[_Part]) -> str:
    return r",\,".join(part.latex for part in parts)


def _read(name: str, op: Operation) -> str:
    return f"{name}[{', '.join(part.numpy for part in _parts(op)) or '()'}]"


# -- adding ----------------------------------------------------------------------------------------


def _added_latex(name: str, op: Operation, shape: Any) -> str:
    parts = _parts(op)
    if _picks_from_rows(op, shape):
        return rf"{{{name}}}_{{n}} \, \mathbf{{1}}[k = {{{parts[1].latex}}}_{{n}}]"
    return rf"\operatorname{{scatter}}_{{\left[ {_comma(parts)} \right]}}({name})"


def _added(name: str, op: Operation, shape: Any) -> str:
    parts = _parts(op)
    listed = ", ".join(part.numpy for part in parts)
    if any(part.is_slice for part in parts):
        index = f"np.s_[{listed}]"
    elif isinstance(op.params["index"], tuple):
        index = f"({listed},)" if len(parts) == 1 else f"({listed})"
    else:
        index = listed
    return f"scatter_add({name}, {index}, {shape})"


def _read_back(op: Operation) -> tuple[str, str]:
    """What ``scatter_add`` passes on, summed where its operand was broadcast to the index."""
    selected = np.broadcast_to(0, op.shape)[op.params["index"]]
    before, after = broadcast_sum(selected.shape, op.shapes[0])
    return before + _read_latex("$g", op, op.shape), _read("$g", op) + after


INDEX = {
    "getitem": Formula(
        lambda op: _read_latex("$0", op, op.shapes[0]),
        lambda op: _read("$0", op),
        (
            Rule(
                lambda op: _added_latex("$g", op, op.shapes[0]),
                lambda op: _added("$g", op, op.shapes[0]),
                name="added back where it was read, zero elsewhere",
            ),
        ),
        helpers=("scatter_add",),
    ),
    "scatter_add": Formula(
        lambda op: _added_latex("$0", op, op.shape),
        lambda op: _added("$0", op, op.shape),
        (
            Rule(
                lambda op: _read_back(op)[0],
                lambda op: _read_back(op)[1],
                name="read where it was added",
            ),
        ),
        helpers=("scatter_add",),
        broadcasts=False,
    ),
}
