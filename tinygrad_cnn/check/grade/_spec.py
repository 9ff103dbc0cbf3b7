"""What is asked of a submission, as a TOML file says it."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ArgumentError

DEFAULT = Path(__file__).with_name("default.toml")
_LAYERS = ("affine", "relu", "conv", "max_pool", "batchnorm", "layernorm", "dropout")
_FUNCTIONS = ("softmax_loss", "svm_loss", "sgd", "sgd_momentum", "rmsprop", "adam")


@dataclass(frozen=True)
class Limits:
    """What a question's process may use; ``seconds`` holds for one call."""

    seconds: float = 10.0
    total_seconds: float = 60.0
    memory_mb: int = 2048
    output_mb: int = 1


@dataclass(frozen=True)
class Question:
    """One thing that was to be written: which functions, for how many points."""

    kind: str
    points: float
    functions: tuple[str, ...]
    name: str
    p: str = "keep"


@dataclass(frozen=True)
class Spec:
    """All questions, and how they are judged."""

    questions: tuple[Question, ...]
    limits: Limits = field(default_factory=Limits)
    seed: int = 231
    tolerance: float = 1e-6
    hints: int = 2


def read_spec(path: str | Path = DEFAULT) -> Spec:
    """Read a file such as ``default.toml`` beside this one.

    Raises:
        FileNotFoundError: there is no such file.
        ArgumentError: it is no TOML, or says something that has no meaning.
    """
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ArgumentError(f"{path} is no TOML file: {error}") from None
    try:
        questions = tuple(_question(entry) for entry in table.pop("question", []))
        if not questions:
            raise ArgumentError("there is no [[question]]")
        spec = Spec(questions, _limits(table.pop("limits", {})), **table)
        if spec.hints not in (1, 2, 3):
            raise ArgumentError(f"hints = {spec.hints!r}: expected 1, 2 or 3")
        if type(spec.seed) is not int or not 0 <= spec.seed < 1 << 32:
            raise ArgumentError(f"seed = {spec.seed!r}: expected 0 to 2**32 - 1")
        _check_positive("tolerance", spec.tolerance)
    except (ArgumentError, TypeError) as error:
        raise ArgumentError(f"{path}: {error}") from None
    return spec


def _limits(table: dict[str, Any]) -> Limits:
    for name, value in table.items():
        _check_positive(name, value)
        if name.endswith("_mb") and type(value) is not int:
            raise ArgumentError(f"{name} = {value!r}: expected a whole number")
    return Limits(**table)


def _check_positive(name: str, value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} = {value!r}: expected a positive number")


def _question(entry: dict[str, Any]) -> Question:
    kind, points = entry.pop("kind", None), entry.pop("points", 1)
    name, p = entry.pop("name", kind), entry.pop("p", "keep")
    if kind in _LAYERS:
        ending = "_naive" if kind in ("conv", "max_pool") else ""
        names = {part: f"{kind}_{part}{ending}" for part in ("forward", "backward")}
    elif kind in _FUNCTIONS:
        names = {"function": kind}
    else:
        raise ArgumentError(f"question kind {kind!r} is none of {', '.join(_LAYERS + _FUNCTIONS)}")
    unknown = set(entry) - set(names)
    if unknown:
        raise ArgumentError(f"question {name!r}: {sorted(unknown)} means nothing here")
    functions = tuple({**names, **entry}.values())
    if not all(isinstance(text, str) for text in (name, *functions)):
        raise ArgumentError(f"question {name!r}: names of functions are text")
    _check_positive(f"question {name!r}: points", points)
    if p not in ("keep", "drop"):
        raise ArgumentError(f"question {name!r}: p = {p!r}: expected 'keep' or 'drop'")
    return Question(kind, points, functions, name, p)
