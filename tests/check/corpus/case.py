"""What a case of the corpus is, and how the files of the corpus register theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import tinygrad_cnn as tc

Array = np.ndarray
CASES: list[Case] = []


@dataclass(frozen=True)
class Case:
    """A hand-written gradient, and what is wrong with it.

    Attributes:
        causes: input name -> the codes that are right for it; None stands for the backward as
            a whole. Empty for a correct gradient.
        shows_at: for a bug that ``inputs`` hide, inputs at which the gradient is wrong.
        given: whether the hand is arrays; no forward goes with them.
        nudges: for a correct gradient that follows another convention at a tie or at zero:
            offsets of the first input beside the tie; the mean gradient there is the hand's.
    """

    name: str
    function: Function
    make_hand: Callable[[], Any]
    causes: Mapping[str | None, frozenset[str]]
    given: bool = False
    shows_at: Mapping[str, Any] | None = None
    nudges: tuple[Any, ...] = (0.0,)

    @property
    def reference(self) -> Callable[..., Any]:
        return self.function.reference

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.function.inputs

    @property
    def forward(self) -> Callable[..., Any] | None:
        return None if self.given else self.function.forward

    @property
    def upstream(self) -> Array | None:
        return None if self.function.upstream == "ones" else self.function.upstream_array()


@dataclass(frozen=True)
class Function:
    """A function that students differentiate: the decorators below register their attempts.

    Attributes:
        reference: the function, composed in tinygrad_cnn.
        forward: ``(*inputs) -> (out, cache)``; hands are then ``(dout, cache)``, without it
            ``(dout, *inputs)``.
        upstream: "random", "ones", or a number for a loss.
        layer: a layer, a loss of a whole batch or a network, rather than a formula of a line.
    """

    name: str
    reference: Callable[..., Any]
    inputs: Mapping[str, Any]
    forward: Callable[..., Any] | None = None
    upstream: str | float = "random"
    layer: bool = False

    def at(self, **changes: Any) -> Function:
        """The same function at other inputs, with another upstream gradient or forward."""
        return replace(self, **changes)

    @property
    def floating(self) -> list[str]:
        """The inputs that have a gradient."""
        return [name for name, x in self.inputs.items() if x.dtype.kind == "f"]

    def value(self) -> Array:
        operands = (tc.as_tensor(x) if x.dtype.kind == "f" else x for x in self.inputs.values())
        return np.asarray(self.reference(*operands).numpy())

    def upstream_array(self) -> Array:
        """The gradient by the result."""
        shape = self.value().shape
        if self.upstream == "random":
            return normal(*shape, seed=99)
        return np.full(shape, 1.0 if self.upstream == "ones" else self.upstream)

    def broken(
        self,
        *,
        whole: str | None = None,
        arrays: bool = False,
        fresh: bool = False,
        shows_at: Mapping[str, Any] | None = None,
        **causes: str,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a wrong backward: ``x="sign"``, or ``x="sign scale"`` where both are right.

        Args:
            whole: the cause that holds for no input in particular.
            arrays: hand over the arrays that the backward returns, not the function.
            fresh: the decorated function makes the backward (which remembers things).
            shows_at: inputs at which the bug shows, if it does not at those of the function.
        """
        expected: dict[str | None, str] = {**causes, **({None: whole} if whole else {})}
        codes = {name: frozenset(text.split()) for name, text in expected.items()}
        return self._register(codes, arrays=arrays, fresh=fresh, shows_at=shows_at)

    def correct(
        self, *, arrays: bool = False, fresh: bool = False, nudges: tuple[Any, ...] = (0.0,)
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a backward with which nothing is wrong."""
        return self._register({}, arrays=arrays, fresh=fresh, nudges=nudges)

    def _register(
        self,
        causes: Mapping[str | None, frozenset[str]],
        *,
        arrays: bool,
        fresh: bool,
        **more: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(hand: Callable[..., Any]) -> Callable[..., Any]:
            def make() -> Any:
                backward = hand() if fresh else hand
                return run(self, backward)[0] if arrays else backward

            name = f"{self.name}: {hand.__name__.strip('_').replace('_', ' ')}"
            CASES.append(Case(name, self, make, causes, arrays, **more))
            return hand

        return register


@dataclass
class Run:
    """The arrays that a hand-written backward was given, after it ran."""

    inputs: dict[str, Any]
    upstream: Array
    out: Any = None
    untouched: list[Array] = field(default_factory=list)

    @property
    def mutated(self) -> bool:
        now = [*self.inputs.values(), self.upstream]
        return any(not np.array_equal(a, b) for a, b in zip(now, self.untouched, strict=True))


def run(function: Function, hand: Any) -> tuple[Any, Run]:
    """What a hand-written backward returns, on copies of the inputs."""
    inputs = {name: np.array(x) for name, x in function.inputs.items()}
    given = Run(inputs, np.array(function.upstream_array()))
    given.untouched = [x.copy() for x in [*inputs.values(), given.upstream]]
    if function.forward is None:
        return hand(given.upstream, *inputs.values()), given
    given.out, cache = function.forward(*inputs.values())
    return hand(given.upstream, cache), given


def _read_only(array: Any) -> Array:
    array = np.array(array)
    array.flags.writeable = False
    return array


def normal(*shape: int, seed: int = 0) -> Array:
    """Any numbers; read-only, for a tool must not write to what it is given."""
    return _read_only(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape: int, seed: int = 0) -> Array:
    """Numbers between 0.5 and 2."""
    return _read_only(np.random.default_rng([seed, *shape]).uniform(0.5, 2.0, shape))


def apart(*shape: int, seed: int = 0) -> Array:
    """Numbers without ties, a tenth apart, and none of them zero."""
    size = math.prod(shape)
    numbers = (np.arange(size) - size // 2) * 0.1 + 0.05
    return _read_only(np.random.default_rng([seed, *shape]).permutation(numbers).reshape(shape))


def whole_numbers(*shape: int, seed: int = 0, low: int = 0, high: int = 3) -> Array:
    """Small whole numbers as float64: many ties and zeros."""
    return _read_only(np.random.default_rng([seed, *shape]).integers(low, high, shape) * 1.0)


def mask(*shape: int, seed: int = 0, keep: float = 0.6) -> Array:
    """Which elements are kept."""
    return _read_only(np.random.default_rng([seed, *shape]).random(shape) < keep)


def labels(*numbers: int) -> Array:
    return _read_only(np.array(numbers))
