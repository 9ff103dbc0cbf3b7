"""What all optimisers share: parameter groups, state and the loop of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from .._core.symbol import deferrable
from .._core.tensor import Tensor
from ..errors import ArgumentError, CheckpointError, DtypeError
from ..typing import Array
from ._checks import as_list, check_param, checked_options, mapping, restored_state

__all__ = ["Optimizer"]

Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor | Mapping[str, Any]]


class Optimizer(ABC):
    """Updates parameters in place from their gradients.

    A subclass names the arrays it keeps for each parameter (``_slots``) and writes its formula
    (``_update``). Parameters without a gradient are skipped; gradients are never changed.

    Args:
        params: Tensors, or groups ``{"params": Tensors, option: value, …}`` with options of
            their own.
        defaults: the options of groups that do not set them.

    Attributes:
        param_groups: the groups, each with its options; a schedule changes ``"lr"`` here.
        state: for each parameter, by its number in order, its step count and arrays.

    Raises:
        ArgumentError: no parameters, one given twice, an option unknown or outside its domain.
        DtypeError: a parameter is not a Tensor.
        GraphError: a parameter is the result of an operation.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self.state: dict[int, State] = {}
        self._buffers: dict[Any, tuple[Array, Array]] = {}
        groups = as_list(self._name, params)
        if not groups:
            raise ArgumentError(
                f"{self._name} got no parameters: does the model have any, or was an iterator"
                " over them used up before?"
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimise more Tensors: ``{"params": Tensors, option: value, …}``.

        >>> import tinygrad_cnn as tc
        >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
        >>> b = tc.tensor(0.0, requires_grad=True)
        >>> optimizer = tc.optim.SGD([w], lr=0.1)
        >>> optimizer.add_param_group({"params": [b], "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentError(
                f"{self._name}: a group is a dict with the key 'params', not {group!r:.60}"
            )
        given = group["params"]
        params = [given] if isinstance(given, Tensor) else as_list(self._name, given)
        options = self._checked({**self.defaults, **group})
        seen = {id(param) for _, param, _ in self._numbered()}
        for number, param in enumerate(params, start=len(seen)):
            check_param(f"{self._name}: parameter {number}", param, seen)
            seen.add(id(param))
        self.param_groups.append({**options, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or with ``set_to_none=False`` replace them by zeros."""
        if not set_to_none:
            self._fill_with_zeros()
            return
        for _, param, _ in self._numbered():
            if param.requires_grad:
                param.grad = None

    @deferrable
    def _fill_with_zeros(self) -> None:
        for _, param, _ in self._numbered():
            if param.grad is not None:
                # A new array: the old one may also be the gradient of another Tensor.
                param.grad = Tensor(np.zeros_like(param.grad.data))

    @deferrable
    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            DtypeError: a gradient has another dtype than its parameter; nothing is updated.
        """
        pending = [
            (number, param, param.grad.data, group)
            for number, param, group in self._numbered()
            if param.grad is not None
        ]
        for number, param, grad, _ in pending:
            if grad.dtype != param.dtype:
                raise DtypeError(
                    f"{self._name}.step: parameter {number} of shape {param.shape} is"
                    f" {param.dtype}, its gradient {grad.dtype}: set a gradient of its dtype"
                )
        for number, param, grad, group in pending:
            scalar = not isinstance(param.data, np.ndarray)
            array = np.array(param.data) if scalar else param.data  # NumPy scalars are constant
            state = self.state.setdefault(number, {"step": 0})
            for name, initial in self._slots(group).items():
                if name not in state:
                    state[name] = np.full_like(array, initial)
            state["step"] += 1
            held, spare = self._work(array)
            grad = self._descent(array, grad, group, held)
            self._update(array, grad, state, group, spare)
            if scalar:
                param.data = array[()]
            param.mark_changed()

    def state_dict(self) -> dict[str, Any]:
        """State and options as nested dicts of arrays (copies) and numbers, in PyTorch's form.

        ``"state"`` maps the number of each parameter to its state; ``"param_groups"`` lists the
        options, with the numbers of the parameters under ``"params"``.
        """
        return {
            "state": {
                number: {
                    "step": state["step"],
                    # Only what the present options use: momentum may have been switched off.
                    **{name: np.array(state[name]) for name in self._slots(group) if name in state},
                }
                for number, _, group in self._numbered()
                if (state := self.state.get(number))
            },
            "param_groups": [
                {**group, "params": numbers}
                for group, numbers in zip(self.param_groups, self._numbers(), strict=True)
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the ``state_dict()`` of such an optimiser over such parameters.

        Raises:
            CheckpointError: groups, options, names or shapes do not fit; nothing is changed.
        """
        what = f"the state of {self._name}"
        parts = mapping(what, state_dict, ("state", "param_groups"))
        groups = self._restored_groups(what, parts["param_groups"])
        group_of = {number: group for group in groups for number in group["params"]}
        params = {number: param for number, param, _ in self._numbered()}
        state = {}
        for number, saved in mapping(what, parts["state"]).items():
            if number not in params:
                raise CheckpointError(f"{what} holds a parameter {number!r}, there is none here")
            state[number] = restored_state(
                f"{what} for parameter {number}",
                saved,
                self._slots(group_of[number]),
                params[number],
            )
        self.state = state
        for group, restored in zip(self.param_groups, groups, strict=True):
            group.update({**restored, "params": group["params"]})

    def __repr__(self) -> str:
        return "\n".join(
            f"{self._name}({len(group['params'])} parameters, "
            + ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            + ")"
            for group in self.param_groups
        )

    # -- what a subclass defines -------------------------------------------------------------

    @abstractmethod
    def _slots(self, group: Group) -> dict[str, float]:
        """The arrays kept for each parameter: their names and initial values."""

    @abstractmethod
    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        """Change ``array`` and ``state`` in place; ``grad`` is to be read, ``spare`` scratch."""

    def _descent(self, array: Array, grad: Array, group: Group, out: Array) -> Array:
        """The gradient to descend: with that of the L2 penalty, negated to maximise."""
        if group["weight_decay"]:
            np.multiply(array, group["weight_decay"], out=out)
            return (np.subtract if group["maximize"] else np.add)(out, grad, out=out)
        return np.negative(grad, out=out) if group["maximize"] else grad

    def _checked(self, group: Mapping[str, Any]) -> Group:
        """The options of a group; ArgumentError where one is outside its domain."""
        return checked_options(self._name, self.defaults, group)

    # -- helpers -----------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _numbered(self) -> Iterator[tuple[int, Tensor, Group]]:
        numbers = count()
        for group in self.param_groups:
            for param in group["params"]:
                yield next(numbers), param, group

    def _numbers(self) -> list[list[int]]:
        """The numbers of the parameters of each group."""
        numbers = count()
        return [[next(numbers) for _ in group["params"]] for group in self.param_groups]

    def _work(self, array: Array) -> tuple[Array, Array]:
        """Two scratch arrays, shared by all parameters of one shape, memory order and dtype."""
        key = array.shape, array.strides, array.dtype
        if key not in self._buffers:
            self._buffers[key] = np.empty_like(array), np.empty_like(array)
        return self._buffers[key]

    def _restored_groups(self, what: str, saved_groups: Any) -> list[Group]:
        """The saved options of each group, with the numbers of its parameters."""
        if not isinstance(saved_groups, (list, tuple)):
            raise CheckpointError(f"{what}: expected a list of groups, got {saved_groups!r:.60}")
        keys = ("params", *self.defaults)
        groups = [mapping(f"{what}, a parameter group", group, keys) for group in saved_groups]
        saved, own = [group["params"] for group in groups], self._numbers()
        if saved != own:
            raise CheckpointError(f"{what} is for the parameter groups {saved}, here are {own}")
        try:
            checked = [self._checked(group) for group in groups]
        except ArgumentError as error:
            raise CheckpointError(f"{what} has options that do not fit: {error}") from error
        return [{**group, "params": numbers} for group, numbers in zip(checked, own, strict=True)]
