"""The Module: parameters, buffers and submodules behind attributes, after PyTorch's protocol.

A module is an ordinary Python object. Its parameters are the attributes that are Parameters,
its submodules the attributes that are Modules; both are found by looking, so that there is no
second register to keep in step. Only buffers, which are plain Tensors, need to be registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, Self, TypeVar

import numpy as np

from .._core.context import Scope, per_thread
from .._core.symbol import refuse_trace
from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError, GraphError
from ..typing import Array, DTypeLike
from ._hooks import Hook, RemovableHandle
from ._state import IncompatibleKeys, check_state
from .parameter import Parameter, assign

__all__ = ["Module"]

Part = TypeVar("Part", bound="Parameter | Module")


_HOOKS = "a module has hooks, which may do anything"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _holds_part(value: Any) -> bool:
    """Whether a list, tuple or dict holds a Parameter or a Module, at any depth."""
    if isinstance(value, (list, tuple, dict)):
        return any(map(_holds_part, value.values() if isinstance(value, dict) else value))
    return isinstance(value, (Parameter, Module))


class Module:
    """A part of a network: define ``__init__`` with its parts and ``forward`` with its sense.

    Calling a module runs its hooks and ``forward`` inside a scope of kind ``"module"``, named
    after the attribute under which the module is held.

    Attributes:
        training: whether dropout drops and batch norm uses the statistics of the batch;
            ``train()`` and ``eval()`` set it.

    Raises:
        ArgumentError: a part is given a name that is empty, has a dot or hides a method, or lies
            in a list, tuple or dict, where it is not found.
        DtypeError: a parameter, submodule or buffer is replaced by something else.
        GraphError: a module without ``forward`` is called.

    >>> import tinygrad_cnn as tc
    >>> class Scale(tc.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = tc.nn.Parameter(2.0)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(tc.tensor(3.0)).item()
    6.0
    """

    training: bool
    _path: str
    _buffers: dict[str, bool]  # name -> whether state_dict holds it
    _forward_pre_hooks: dict[RemovableHandle, Hook]
    _forward_hooks: dict[RemovableHandle, Hook]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Not in __init__, so that a subclass that forgets super().__init__() works all the same.
        self = super().__new__(cls)
        vars(self).update(
            training=True, _path="", _buffers={}, _forward_pre_hooks={}, _forward_hooks={}
        )
        return self

    def __init__(self) -> None:
        """A module without parts; subclasses add theirs."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise GraphError(f"{type(self).__name__} can't be called: it defines no forward(self, …)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context = per_thread.context
        outer = context.scope
        kind = type(self).__name__
        name = self._path.rpartition(".")[2] or kind
        context.scope = Scope(name, {"type": kind}, outer, "module")
        try:
            if self._forward_pre_hooks:
                args = self._after_pre_hooks(args)
            output = self.forward(*args, **kwargs)
            if self._forward_hooks:
                output = self._after_hooks(args, output)
            return output
        finally:
            context.scope = outer

    def _after_pre_hooks(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        refuse_trace(_HOOKS)
        for hook in tuple(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        return args

    def _after_hooks(self, args: tuple[Any, ...], output: Any) -> Any:
        refuse_trace(_HOOKS)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    # -- parts -------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_trace(f"{type(self).__name__}.{name} is set")
        self._check_kind(name, value)
        if isinstance(value, (Parameter, Module)):
            self._adopt(name, value)
        elif _holds_part(value):
            raise ArgumentError(
                f"{type(self).__name__}.{name}: parts in a {type(value).__name__} are not found, so"
                " they would not be trained or saved: hold modules in nn.ModuleList or"
                " nn.ModuleDict, parameters each as an attribute"
            )
        super().__setattr__(name, value)

    def _check_kind(self, name: str, value: Any) -> None:
        """Refuse to lose a part because something else was assigned to its name."""
        held = vars(self).get(name)
        kind: type | None = next((k for k in (Parameter, Module) if isinstance(held, k)), None)
        if kind is None and name in self._buffers:
            kind = Tensor
        if kind is not None and value is not None and not isinstance(value, kind):
            raise DtypeError(
                f"{type(self).__name__}.{name} is a {kind.__name__}, got a"
                f" {type(value).__name__}: assign a {kind.__name__} or None"
            )

    def _adopt(self, name: str, part: Parameter | Module) -> None:
        """Name a part, and all that it holds, after the path on which it is found from here."""
        hidden = isinstance(getattr(type(self), name, None), FunctionType)
        if not name or "." in name or hidden:
            raise ArgumentError(
                f"{type(self).__name__} can't hold a {type(part).__name__} as {name!r}: a name is"
                " not empty, has no dot and hides no method"
            )
        self._buffers.pop(name, None)
        path = _join(self._path, name)
        if isinstance(part, Module):
            if part._path:
                return  # shared with another module, which named it
            for inner, module in part.named_modules(path):
                module._path = inner
                for key, parameter in module._own(Parameter):
                    parameter.name = _join(inner, key)
        elif part.name is None:
            part.name = path

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold ``module`` under ``name``, as ``setattr`` does.

        Raises:
            DtypeError: it is no Module.
        """
        if module is not None and not isinstance(module, Module):
            raise DtypeError(
                f"{type(self).__name__}: {name!r} is a {type(module).__name__}, expected a Module;"
                " functions have modules too, such as nn.ReLU() for functional.relu"
            )
        setattr(self, name, module)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a Tensor that is part of the state but no parameter, such as a running mean.

        Args:
            name: the attribute.
            tensor: the values; ``None`` holds the place.
            persistent: whether ``state_dict`` shall include it.

        Raises:
            ArgumentError: the attribute exists.
        """
        if hasattr(self, name) and name not in self._buffers:
            raise ArgumentError(f"{type(self).__name__} has an attribute {name!r} already")
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def _own(self, kind: type[Part]) -> Iterator[tuple[str, Part]]:
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value

    # -- walks -------------------------------------------------------------------------------

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each before its parts, with dotted paths.

        A module that is held twice appears once, unless ``remove_duplicate=False``.
        """
        seen = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate and module in seen:
                continue
            seen.add(module)
            yield path, module
            below = [(_join(path, name), child) for name, child in module._own(Module)]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that this one holds itself, each once."""
        seen = set()
        for name, child in self._own(Module):
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules that this one holds itself, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with the dotted paths that ``state_dict`` uses."""
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, parameter in module._own(Parameter):
                if parameter not in seen:
                    seen.add(parameter)
                    yield _join(path, name), parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimiser takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with dotted paths."""
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module._buffers:
                buffer = vars(module).get(name)
                if buffer is not None and buffer not in seen:
                    seen.add(buffer)
                    yield _join(path, name), buffer

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # -- state -------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path; what is shared stands under every path."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            held = vars(module)
            names = [name for name, _ in module._own(Parameter)]
            names += [name for name, persistent in module._buffers.items() if persistent]
            state.update((_join(path, n), held[n]) for n in names if held.get(n) is not None)
        return state

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and persistent buffers, under PyTorch's keys.

        >>> import tinygrad_cnn as tc
        >>> {key: array.shape for key, array in tc.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {key: np.array(tensor.data) for key, tensor in self._state().items()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers, which keep their dtypes.

        Args:
            state_dict: arrays, or what NumPy makes arrays of, by key.
            strict: whether missing and unexpected keys are errors.

        Returns:
            The missing and the unexpected keys.

        Raises:
            CheckpointError: keys, shapes or dtypes do not fit. The message lists all that does
                not, and nothing is changed.
        """
        state = self._state()
        owner = f"{type(self).__name__}.load_state_dict"
        values, keys = check_state(owner, state, state_dict, strict)
        for key, value in values.items():
            assign(state[key], value)
        return keys

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert all parameters and floating-point buffers in place, and drop the gradients.

        Raises:
            DtypeError: ``dtype`` is not real floating point.
        """
        target = np.dtype(dtype)
        if target.kind != "f":
            raise DtypeError(f"{type(self).__name__}.astype: {target} is not floating point")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f":
                tensor.data = tensor.data.astype(target, copy=False)
        self.zero_grad()
        return self

    def float(self) -> Self:
        """Convert to float32 in place."""
        return self.astype(np.float32)

    def double(self) -> Self:
        """Convert to float64 in place."""
        return self.astype(np.float64)

    # -- modes -------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` of this module and all below it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use, not as in training: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (``False``) or thaw all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every module below, then with this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- hooks -------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns replaces the args."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns replaces it."""
        return RemovableHandle(self._forward_hooks, hook)

    # -- text --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows; layers define it."""
        return ""

    def __repr__(self) -> str:
        settings = self.extra_repr()
        parts = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._own(Module)]
        lines = [settings] * bool(settings) + parts
        body = "".join(f"\n  {line}" for line in lines) + "\n" if parts else settings
        return f"{type(self).__name__}({body})"
