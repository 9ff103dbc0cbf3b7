"""What stands before loading a state: every value checked before the first is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._core.tensor import Tensor, raw
from ..errors import CheckpointError
from ..typing import Array


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def check_state(
    owner: str, state: Mapping[str, Tensor], given: Any, strict: bool
) -> tuple[dict[str, Array], IncompatibleKeys]:
    """The given values by key, once all of them are known to fit.

    Raises:
        CheckpointError: they do not; the message lists every reason.
    """
    if not isinstance(given, Mapping):
        raise CheckpointError(f"{owner}: expected a dict of arrays, got {type(given).__name__}")
    keys = IncompatibleKeys(
        missing_keys=[key for key in state if key not in given],
        unexpected_keys=[str(key) for key in given if key not in state],
    )
    problems = []
    if strict:
        problems += [f"{key} is missing" for key in keys.missing_keys]
        problems += [f"{key} is unknown to the model" for key in keys.unexpected_keys]
    values = {}
    for key, target in state.items():
        if key not in given:
            continue
        try:
            values[key] = np.asarray(raw(given[key]))
        except (TypeError, ValueError, RuntimeError) as error:
            problems.append(f"{key} is no array: {error}")
        else:
            problems += _misfits(key, values[key], target)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise CheckpointError(f"{owner}: the state does not fit, nothing was loaded:{listed}")
    return values, keys


def _misfits(key: str, value: Array, target: Tensor) -> list[str]:
    problems = []
    if value.shape != target.shape:
        problems.append(f"{key} has shape {value.shape}, the model's has {target.shape}")
    if not np.can_cast(value.dtype, target.dtype, "same_kind"):
        problems.append(f"{key} has dtype {value.dtype}, the model's has {target.dtype}")
    if isinstance(target.data, np.ndarray) and not target.data.flags.writeable:
        problems.append(f"{key} can't be written to: the model shares a read-only array")
    return problems
