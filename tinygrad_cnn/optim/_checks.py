"""The checks that stand before every change: options, parameters and saved states."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from .._core.tensor import Tensor
from ..errors import ArgumentError, CheckpointError, DtypeError, GraphError
from ..typing import Array

# Every numeric option lies in [0, limit).
_LIMITS = {
    "lr": math.inf,
    "initial_lr": math.inf,
    "lr_decay": math.inf,
    "momentum": math.inf,
    "dampening": math.inf,
    "weight_decay": math.inf,
    "initial_accumulator_value": math.inf,
    "eps": math.inf,
    "alpha": 1.0,
    "rho": 1.0,
    "betas": 1.0,
}


def checked_options(owner: str, known: Collection[str], group: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a group, with numbers as floats: NumPy scalars would promote float32."""
    unknown = group.keys() - {*known, "params", "initial_lr"}
    if unknown:
        raise ArgumentError(
            f"{owner} has no option {', '.join(sorted(map(repr, unknown)))}; it has"
            f" {', '.join(known)}"
        )
    return {name: _option(owner, name, group[name]) for name in group if name != "params"}


def _option(owner: str, name: str, value: Any) -> Any:
    if name not in _LIMITS:
        return value
    if name != "betas":
        return number(owner, name, value, _LIMITS[name])
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"{owner}: betas={value!r}, expected a pair of numbers")
    return tuple(number(owner, name, beta, _LIMITS[name]) for beta in value)


def number(owner: str, name: str, value: Any, limit: float = math.inf) -> float:
    """``value`` as float, if it is a number in [0, limit)."""
    if not isinstance(value, Real) or not 0 <= float(value) < limit:
        raise ArgumentError(f"{owner}: {name}={value!r}, expected a number in [0, {limit:g})")
    return float(value)


def as_list(owner: str, params: Any) -> list[Any]:
    """The items of ``params``, if they have an order."""
    if isinstance(params, (Tensor, Mapping, set, frozenset)) or not isinstance(params, Iterable):
        raise ArgumentError(
            f"{owner}: expected a list of Tensors or of parameter groups, whose order numbers"
            f" the parameters, got {type(params).__name__}"
        )
    return list(params)


def check_param(what: str, param: Any, seen: Collection[int]) -> None:
    """Refuse what can't be optimised, and what has been given before (by its ``id``)."""
    if not isinstance(param, Tensor):
        raise DtypeError(f"{what} is not a Tensor but {type(param).__name__}")
    what = f"{what} of shape {param.shape}"
    if param.node is not None and param.node.primitive is not None:
        raise GraphError(
            f"{what} is the result of {param.node.primitive.name!r}: pass the leaf that it was"
            " computed from"
        )
    if id(param) in seen:
        raise ArgumentError(f"{what} was given before: pass each parameter once")
    if isinstance(param.data, np.ndarray) and not param.data.flags.writeable:
        raise ArgumentError(f"{what} is read-only: make it with tc.tensor, which copies")


def mapping(what: str, value: Any, keys: Collection[str] = ()) -> Mapping[Any, Any]:
    """``value``, if it is a dict with the ``keys``."""
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{what}: expected a dict, got {type(value).__name__}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise CheckpointError(f"{what} lacks {', '.join(missing)}")
    return value


def restored_state(what: str, saved: Any, slots: Collection[str], param: Tensor) -> dict[str, Any]:
    """The saved state of one parameter, copied into the parameter's dtype and order."""
    names = ["step", *slots]
    saved = mapping(what, saved, names)
    if len(saved) != len(names):
        raise CheckpointError(f"{what} has {', '.join(saved)}, expected {', '.join(names)}")
    state: dict[str, Any] = {"step": _step_count(what, saved["step"])}
    for name in slots:
        value = np.asarray(saved[name])
        if value.shape != param.shape or value.dtype.kind != "f":
            raise CheckpointError(
                f"{what}: {name} has shape {value.shape} and dtype {value.dtype}, expected"
                f" {param.shape} and floating point"
            )
        array: Array = np.empty_like(param.data)
        array[...] = value
        state[name] = array
    return state


def _step_count(what: str, value: Any) -> int:
    try:
        step = operator.index(value)
    except TypeError:
        step = 0
    if step < 1:
        raise CheckpointError(f"{what}: step={value!r}, expected an integer of at least 1")
    return step
