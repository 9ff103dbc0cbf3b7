"""What a run was started with, as texts: to resume it to the same bits, they must be the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sized
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from .. import nn
from ..data import DataLoader
from ..optim import LRScheduler, Optimizer

_MOVED = {"params", "lr", "initial_lr", "momentum", "betas"}  # options that schedules change
_MOST = 12  # differences in a message
_DEEP = 3  # objects inside of objects


def model_settings(model: nn.Module) -> dict[str, str]:
    """Each module with its settings, each parameter and buffer with its dtype and shape."""
    modules = {
        f"module {path or 'model'}": f"{type(module).__name__}({module.extra_repr()})"
        for path, module in model.named_modules()
    }
    tensors = (*model.named_parameters(), *model.named_buffers())
    shapes = {f"parameter {name}": f"{tensor.dtype} {tensor.shape}" for name, tensor in tensors}
    return {name: _without_addresses(text) for name, text in (modules | shapes).items()}


def optimizer_settings(optimizer: Optimizer, schedule: LRScheduler | None) -> dict[str, str]:
    """Classes and options, but for what a schedule may have changed by now."""
    settings = {"optimizer": type(optimizer).__name__, "schedule": type(schedule).__name__}
    options: dict[str, Any] = {f"optimizer {k}": v for k, v in optimizer.defaults.items()}
    for number, group in enumerate(optimizer.param_groups):
        fixed = {k: v for k, v in group.items() if k not in _MOVED}
        options[f"parameter group {number}"] = [len(group["params"]), *sorted(fixed.items())]
    if schedule is not None:
        state = schedule.state_dict()
        options |= {f"schedule {k}": state[k] for k in state.keys() - {"last_epoch", "_last_lr"}}
    return settings | {name: described(value) for name, value in options.items()}


def data_settings(role: str, data: Any) -> dict[str, str]:
    """How the batches are made; the examples themselves are not compared."""
    settings: dict[str, Any] = {"": type(data).__name__ if data is not None else None}
    if isinstance(data, Sized):
        settings[" batches"] = len(data)
    if isinstance(data, (list, tuple)):
        settings[" examples"] = sum(len(targets) for _, targets in data)
    if isinstance(data, DataLoader):
        settings[" examples"] = len(data.dataset)
        for name in ("batch_size", "shuffle", "drop_last", "transform"):
            settings[f" {name}"] = getattr(data, name)
    return {role + name: described(value) for name, value in settings.items()}


def described(value: Any, depth: int = 0) -> str:
    """A text by which two programs that make the same object know it for the same."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {np.array2string(value, threshold=100)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(described(item, depth) for item in value)}]"
    if isinstance(value, Mapping):
        return described(list(value.items()), depth)
    if isinstance(value, partial):
        return described([value.func, value.args, value.keywords], depth)
    if isinstance(value, (FunctionType, type)):
        return value.__qualname__
    if isinstance(value, nn.Module):
        return f"{type(value).__name__}({value.extra_repr()})"
    attributes = getattr(value, "__dict__", None)
    if attributes is None or isinstance(value, np.random.Generator):
        plain = value is None or isinstance(value, (bool, int, float, str, np.generic))
        return repr(value) if plain else type(value).__name__
    inner = [f"{k}={described(v, depth + 1)}" for k, v in attributes.items() if depth < _DEEP]
    return f"{type(value).__name__}({', '.join(inner)})"


def differences(saved: Mapping[str, str], here: Mapping[str, str]) -> str:
    """What is not the same, a line each; empty if all is."""
    lines = list(_differences(saved, here))
    more = len(lines) - _MOST
    if more > 0:
        lines[_MOST:] = [f"and {more} more"]
    return "".join(f"\n  {line}" for line in lines)


def _differences(saved: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*saved, *here]):
        before, now = saved.get(name, "nothing"), here.get(name, "nothing")
        if before != now:
            yield f"{name}: {before!s:.80} in the checkpoint, {now:.80} here"


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x…", text)
