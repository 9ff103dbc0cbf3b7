"""The optimiser steps that can be asked for, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...typing import Array

Path = list[Array]  # the weights after each step


class Mistake(NamedTuple):
    """Another rule that people write by mistake: its name, what it computes, and the fix."""

    cause: str
    weights: Callable[[Array, Path], Path]
    evidence: str
    fix: str


class Optimiser(NamedTuple):
    """A kind of question: its settings, the weights that are right, and known mistakes."""

    config: dict[str, float]
    weights: Callable[[Array, Path], Path]
    formula: str
    mistakes: tuple[Mistake, ...]


_LR, _MOMENTUM, _DECAY, _BETA1, _BETA2, _EPS = 0.05, 0.8, 0.9, 0.85, 0.95, 1e-2


def _momentum(
    w: Array, gradients: Path, mu: float = _MOMENTUM, sign: float = 1.0, nesterov: bool = False
) -> Path:
    """Polyak (1964); with ``mu`` = 0 plain gradient descent."""
    path, v = [], np.zeros_like(w)
    for g in gradients:
        v = mu * v - sign * _LR * g
        w = w + (mu * v - sign * _LR * g if nesterov else v)
        path.append(w)
    return path


def _rmsprop(
    w: Array, gradients: Path, decay: float = _DECAY, root: bool = True, inside: bool = False,
    sign: float = 1.0,
) -> Path:  # fmt: skip
    """Tieleman and Hinton (2012)."""
    path, cache = [], np.zeros_like(w)
    for g in gradients:
        cache = decay * cache + (1.0 - decay) * g**2
        w = w - sign * _LR * g / _scale(cache, root, inside)
        path.append(w)
    return path


def _adam(
    w: Array, gradients: Path, first: int = 1, corrected: bool = True, inside: bool = False,
    sign: float = 1.0,
) -> Path:  # fmt: skip
    """Kingma and Ba (2015); ``first`` is the t of the first step."""
    path, m, v = [], np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, first):
        m = _BETA1 * m + (1.0 - _BETA1) * g
        v = _BETA2 * v + (1.0 - _BETA2) * g**2
        one, two = (1.0 - _BETA1**t, 1.0 - _BETA2**t) if corrected else (1.0, 1.0)
        w = w - sign * _LR * (m / one) / _scale(v / two, True, inside)
        path.append(w)
    return path


def _scale(square: Array, root: bool, inside: bool) -> Array:
    if inside:
        return np.sqrt(square + _EPS)
    return (np.sqrt(square) if root else square) + _EPS


def _ascends(rule: Callable[..., Path]) -> Mistake:
    return Mistake(
        "sign",
        lambda w, g: rule(w, g, sign=-1.0),
        "w moves up the gradient: the weights are those of the step with its sign reversed",
        "subtract the learning rate times the gradient",
    )


def _inside(rule: Callable[..., Path]) -> Mistake:
    return Mistake(
        "epsilon_inside_sqrt",
        lambda w, g: rule(w, g, inside=True),
        "the weights are those with sqrt(… + epsilon) in place of sqrt(…) + epsilon",
        "add epsilon after the square root",
    )


def _descent(w: Array, gradients: Path, sign: float = 1.0) -> Path:
    return _momentum(w, gradients, mu=0.0, sign=sign)


OPTIMISERS = {
    "sgd": Optimiser(
        {"learning_rate": _LR}, _descent, "w = w - learning_rate * dw", (_ascends(_descent),)
    ),
    "sgd_momentum": Optimiser(
        {"learning_rate": _LR, "momentum": _MOMENTUM},
        _momentum,
        "v = momentum * v - learning_rate * dw\nw = w + v",
        (
            _ascends(_momentum),
            Mistake(
                "no_momentum", _descent,
                "the weights are those of plain gradient descent: the velocity is not kept",
                "return the new velocity in config['velocity'], and start from it",
            ),
            Mistake(
                "nesterov", lambda w, g: _momentum(w, g, nesterov=True),
                "the weights are those of Nesterov's momentum", "add v itself to w",
            ),
        ),
    ),
    "rmsprop": Optimiser(
        {"learning_rate": _LR, "decay_rate": _DECAY, "epsilon": _EPS},
        _rmsprop,
        "cache = decay_rate * cache + (1 - decay_rate) * dw**2\n"
        "w = w - learning_rate * dw / (sqrt(cache) + epsilon)",
        (
            _ascends(_rmsprop),
            _inside(_rmsprop),
            Mistake(
                "no_root", lambda w, g: _rmsprop(w, g, root=False),
                "the weights are those without the square root", "divide by sqrt(cache) + epsilon",
            ),
            Mistake(
                "swapped_decay", lambda w, g: _rmsprop(w, g, decay=1.0 - _DECAY),
                "the weights are those with decay_rate and 1 - decay_rate exchanged",
                "decay_rate multiplies the old cache",
            ),
        ),
    ),
    "adam": Optimiser(
        {"learning_rate": _LR, "beta1": _BETA1, "beta2": _BETA2, "epsilon": _EPS},
        _adam,
        "t = t + 1\nm = beta1 * m + (1 - beta1) * dw\nv = beta2 * v + (1 - beta2) * dw**2\n"
        "w = w - learning_rate * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)",
        (
            _ascends(_adam),
            _inside(_adam),
            Mistake(
                "no_bias_correction", lambda w, g: _adam(w, g, corrected=False),
                "the weights are those without the bias correction",
                "divide m by 1 - beta1**t and v by 1 - beta2**t",
            ),
            Mistake(
                "late_t", lambda w, g: _adam(w, g, first=2),
                "the weights are those with t one too large", "the first step has t = 1",
            ),
        ),
    ),
}  # fmt: skip


def steps(config: dict[str, float], seed: int) -> tuple[Array, Path, dict[str, float]]:
    """Weights to start from, the gradients of three steps, and a fresh config."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, 4)), list(rng.normal(size=(3, 3, 4))), dict(config)
