"""Tensors, states and layers between this package and PyTorch, where that is installed.

Everything is copied: a write on one side is never seen on the other. Memory is shared on request
only, by ``tc.from_dlpack(x, copy=False)`` and ``torch.from_dlpack(x, copy=False)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn
from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError, MissingExtraError
from ..typing import Array

__all__ = ["from_torch", "from_torch_module", "to_torch"]

# Settings of PyTorch's layers that change nothing here.
_IMMATERIAL = {"inplace", "device", "dtype"}


def from_torch(x: Any) -> Any:
    """A copy of what PyTorch holds.

    Args:
        x: a tensor, which becomes a constant Tensor; or a module or its ``state_dict()``, which
            becomes a dict of arrays for ``load_state_dict``. From any device; bfloat16, which
            NumPy lacks, becomes float32, which holds every value of it.

    Raises:
        ArgumentError: ``x`` is none of these.
        DtypeError: a tensor is sparse, quantised, or has no values.
        MissingExtraError: PyTorch is not installed.

    >>> import torch  # doctest: +SKIP
    >>> import tinygrad_cnn as tc
    >>> tc.io.from_torch(torch.ones(2))  # doctest: +SKIP
    tensor([1., 1.], dtype=float32)
    >>> ours, theirs = tc.nn.Linear(3, 2), torch.nn.Linear(3, 2)  # doctest: +SKIP
    >>> ours.load_state_dict(tc.io.from_torch(theirs))  # doctest: +SKIP
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    torch = _torch()
    if isinstance(x, torch.Tensor):
        return Tensor(_array(x, "from_torch"))
    state = x.state_dict() if isinstance(x, torch.nn.Module) else x
    if not isinstance(state, Mapping):
        raise ArgumentError(
            f"from_torch: expected a tensor, module or state_dict of PyTorch, got {x!r:.60}"
        )
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ArgumentError(
                f"from_torch: {key!r} is a {type(value).__name__}, expected a tensor"
            )
    return {key: _array(value, f"from_torch: {key!r}") for key, value in state.items()}


def to_torch(x: Any) -> Any:
    """A copy for PyTorch, on the CPU.

    Args:
        x: a Tensor or array, which becomes a tensor without gradient; or a module or its
            ``state_dict()``, which becomes a dict of tensors for PyTorch's ``load_state_dict``.

    Raises:
        ArgumentError: ``x`` is none of these.
        DtypeError: PyTorch has no such dtype.
        MissingExtraError: PyTorch is not installed.

    >>> import torch  # doctest: +SKIP
    >>> import tinygrad_cnn as tc
    >>> tc.io.to_torch(tc.ones(2))  # doctest: +SKIP
    tensor([1., 1.], dtype=torch.float64)
    """
    torch = _torch()
    state = x.state_dict() if isinstance(x, nn.Module) else x
    given = state if isinstance(state, Mapping) else {"it": state}
    tensors = {}
    for key, value in given.items():
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            raise ArgumentError(
                "to_torch: expected a Tensor, an array, a Module or its state_dict,"
                f" got {key!r}: {value!r:.60}"
            )
        array = np.array(value, order="C")  # PyTorch knows no negative strides
        try:
            tensors[key] = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
        except TypeError as error:
            raise DtypeError(f"to_torch: {key!r} of dtype {array.dtype}: {error}") from None
    return tensors if isinstance(state, Mapping) else tensors["it"]


def from_torch_module(module: Any) -> nn.Module:
    """The same layers with the same weights, of a module that consists of known layers only.

    Known are ``torch.nn.Sequential`` and the layers that ``nn`` has under the same name. What a
    class of one's own does in ``forward`` can't be seen: write it anew with ``nn`` and load
    ``from_torch(module)``, or go through ONNX.

    Args:
        module: of PyTorch; its hooks are not taken along.

    Returns:
        A Module with the same paths, modes and frozen parameters.

    Raises:
        ArgumentError: layers or settings that ``nn`` does not have; the message lists them all.
        MissingExtraError: PyTorch is not installed.

    >>> import torch  # doctest: +SKIP
    >>> import tinygrad_cnn as tc
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())  # doctest: +SKIP
    >>> tc.io.from_torch_module(net)  # doctest: +SKIP
    Sequential(
      (0): Linear(3, 2)
      (1): ReLU()
    )
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"from_torch_module: expected a module of PyTorch, got {module!r:.60}")
    problems: list[str] = []
    made = _layer(module, "", {}, problems)
    if problems or made is None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ArgumentError(f"from_torch_module: no such layers here:{listed}")
    made.load_state_dict(from_torch(module))
    for path, ours in made.named_modules():
        ours.training = module.get_submodule(path).training
    for path, parameter in made.named_parameters():
        parameter.requires_grad = module.get_parameter(path).requires_grad
    return made


def _layer(
    module: Any, path: str, made: dict[int, nn.Module | None], problems: list[str]
) -> nn.Module | None:
    """One layer with fresh weights, or None and a problem; what is held twice is made once."""
    if id(module) not in made:
        if _is_torchs(module) and type(module).__name__ == "Sequential":
            inner = {
                name: _layer(child, f"{path}.{name}".lstrip("."), made, problems)
                for name, child in module._modules.items()  # named_children() leaves out the second
            }
            made[id(module)] = nn.Sequential({n: c for n, c in inner.items() if c is not None})
        else:
            made[id(module)] = _known_layer(module, path or "the module", problems)
    return made[id(module)]


def _known_layer(module: Any, where: str, problems: list[str]) -> nn.Module | None:
    cls = type(module)
    ours: type[nn.Module] | None = getattr(nn, cls.__name__, None) if _is_torchs(module) else None
    if ours is None:
        problems.append(f"{where}: {cls.__module__}.{cls.__name__}")
        return None
    known = inspect.signature(ours).parameters
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        value = getattr(module, name, parameter.default)
        if name == "bias":  # whether there is one; without weights it has another reason
            value = value is not None or getattr(module, "weight", None) is None
        here = "axis" if name == "dim" and "axis" in known else name  # softmax
        if here in known and _is_plain(value) and (here != "axis" or value is not None):
            settings[here] = value
        elif name not in _IMMATERIAL and value != parameter.default:
            problems.append(f"{where}: {cls.__name__} with {name}={value!r:.60}")
            return None
    held = next(module.parameters(recurse=False), None)
    if held is not None:
        settings["dtype"] = _array(held, where).dtype
    return ours(**settings)


def _is_torchs(module: Any) -> bool:
    return type(module).__module__.startswith("torch.nn.modules.")


def _is_plain(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(isinstance(v, (bool, int, float, str, tuple, type(None))) for v in values)


def _array(tensor: Any, where: str) -> Array:
    """A copy of the values of a tensor."""
    if tensor.layout is not _torch().strided or tensor.is_quantized or tensor.is_meta:
        raise DtypeError(
            f"{where}: a {tensor.layout} tensor of dtype {tensor.dtype} on {tensor.device},"
            " expected plain numbers: see to_dense() and dequantize() of PyTorch"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.is_floating_point() and str(plain.dtype)[6:] not in ("float16", "float32", "float64"):
        plain = plain.float()
    return np.array(plain.numpy())


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "torch", "the bridge to PyTorch") from None
    return torch
