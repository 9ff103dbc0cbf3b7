"""Modules that hold modules: in a row, in a list, in a dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Self, overload

from ..errors import OutOfBoundsError
from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Container(Module):
    """Modules in order, each under a name."""

    def _held(self) -> dict[str, Module]:
        return dict(self._own(Module))

    def _hold(self, modules: Mapping[str, Module]) -> None:
        for name, module in modules.items():
            self.add_module(name, module)

    def __len__(self) -> int:
        return len(self._held())


class _Numbered(_Container):
    """Modules found by their place."""

    def __iter__(self) -> Iterator[Module]:
        return iter(self._held().values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        items = list(self._held().items())
        if not isinstance(index, slice):
            return items[self._place(index)][1]
        part = type(self).__new__(type(self))  # a subclass's __init__ may want other arguments
        part._hold(dict(items[index]))
        return part

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise OutOfBoundsError(f"{type(self).__name__}[{index}] of {len(self)} modules")
        return index

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(list(self._held())[self._place(index)], module)

    def append(self, module: Module) -> Self:
        """Add a module at the end, under the next free number."""
        held = self._held()
        numbers = map(str, count(len(held)))
        self.add_module(next(number for number in numbers if number not in held), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self


class Sequential(_Numbered):
    """Modules in a row, each given what the one before returned.

    A slice is a ``Sequential`` that shares its modules, under the names they had.

    Args:
        modules: modules, or one mapping from names to modules.

    Raises:
        DtypeError: an item is no Module.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Linear(4, 3), tc.nn.ReLU(), tc.nn.Linear(3, 2))
    >>> net
    Sequential(
      (0): Linear(4, 3)
      (1): ReLU()
      (2): Linear(3, 2)
    )
    >>> net[:2](tc.zeros(5, 4)).shape
    (5, 3)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._hold(modules[0])
        else:
            self.extend(modules)  # type: ignore[arg-type]  # add_module refuses what is no Module

    def forward(self, x: Any) -> Any:
        """What the last module makes of what the others made of ``x``."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; it has no ``forward``.

    Raises:
        DtypeError: an item is no Module.

    >>> import tinygrad_cnn as tc
    >>> layers = tc.nn.ModuleList(tc.nn.Linear(2, 2) for _ in range(3))
    >>> [name for name, _ in layers.named_parameters()][-1]
    '2.bias'
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)


class ModuleDict(_Container):
    """Modules by name, whose parameters are found; it has no ``forward``.

    Raises:
        ArgumentError: a name is empty, has a dot or hides a method.
        DtypeError: an item is no Module.

    >>> import tinygrad_cnn as tc
    >>> heads = tc.nn.ModuleDict({"digit": tc.nn.Linear(8, 10), "parity": tc.nn.Linear(8, 2)})
    >>> heads["parity"](tc.zeros(1, 8)).shape
    (1, 2)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self._hold(modules or {})

    def __getitem__(self, name: str) -> Module:
        return self._held()[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._held()

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._held().keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._held().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Names and modules."""
        return self._held().items()
