"""How a user adds the formula of a primitive of their own."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias

from ..._core.primitive import Primitive, registry
from ...errors import ArgumentError, DtypeError
from .. import _standalone
from .._formula import Formula, Rule, Text, every, fill, placeholders
from ..mathml import mathml
from ._table import FORMULAS

__all__ = ["formula"]

RuleLike: TypeAlias = Rule | tuple[Text, Text] | None


def formula(
    name: str,
    *,
    latex: Text,
    numpy: Text,
    rules: Sequence[RuleLike] | every,
    helpers: Sequence[str] = (),
) -> None:
    r"""Say how a primitive reads, so that derivations and the stepper can show it.

    Texts are templates: ``$0``, ``$1`` … are the operands, ``$y`` is the result, ``$g`` the
    gradient of the loss by the result, ``$axis`` a setting of that name (``${n_bins}`` where the
    name has an underscore). What depends on shapes or settings may be a function of the
    ``Operation`` that returns the template.

    Args:
        name: of a registered primitive. A formula that it had is replaced.
        latex, numpy: the result; NumPy is all that the text may use, beside ``helpers``.
        rules: for each argument a pair (LaTeX, NumPy) or a ``Rule``, and None where the primitive
            has no rule; for a primitive that takes any number of arguments, ``every``. A primitive
            with ``unbroadcast`` gives a gradient of the result's shape; the sum over the axes
            that were broadcast is added.
        helpers: functions of this package that the NumPy texts call, such as ``"im2col"``.

    Raises:
        ArgumentError: no such primitive, another number of rules, a placeholder that stands for
            nothing, or a text that is no LaTeX or no Python.
        DtypeError: a text or rule of the wrong type.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> square = tc.primitive("square", lambda x: x * x, (lambda g, ans, x: 2.0 * g * x,))
    >>> formula("square", latex="{$0}^{2}", numpy="$0 ** 2",
    ...         rules=[(r"2 \, $g \odot $0", "2 * $g * $0")])
    """
    primitive = _registered(name)
    declared = _declared(primitive)
    listed: Sequence[Rule | None] | every = (
        rules if isinstance(rules, every) else _rules(name, rules, primitive)
    )
    if isinstance(helpers, str):
        raise DtypeError(f"formula of {name}: helpers is a list of names, got {helpers!r}")
    for helper in helpers:
        if not inspect.isfunction(getattr(_standalone, helper, None)):
            known = sorted(k for k, v in vars(_standalone).items() if inspect.isfunction(v))
            raise ArgumentError(f"formula of {name}: no helper {helper!r}; there are {known}")
    _check(f"formula of {name}", latex, numpy, declared - {"g"})
    for index, rule in enumerate(() if isinstance(listed, every) else listed):
        if rule is not None:
            _check(f"formula of {name}, rule {index}", rule.latex, rule.numpy, declared)
    FORMULAS[name] = Formula(latex, numpy, listed, tuple(helpers))


def _registered(name: str) -> Primitive:
    if name not in registry:
        near = difflib.get_close_matches(str(name), registry, 1)
        hint = f": did you mean {near[0]!r}?" if near else ": define it with tinygrad_cnn.primitive"
        raise ArgumentError(f"formula: no primitive is called {name!r}{hint}")
    return registry[name]


def _declared(primitive: Primitive) -> set[str]:
    """What placeholders may stand for."""
    vjps = primitive.vjps
    operands = range(len(vjps) if isinstance(vjps, Sequence) else 10)
    try:
        parameters = inspect.signature(primitive.forward).parameters.values()
    except ValueError:  # a function of NumPy
        parameters = {}.values()
    settings = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {"y", "g", *map(str, operands), *settings}


def _rules(name: str, rules: Any, primitive: Primitive) -> list[Rule | None]:
    vjps = primitive.vjps
    if isinstance(rules, (str, Rule)) or not isinstance(rules, Sequence):
        raise DtypeError(f"formula of {name}: rules is a list with one item for each argument")
    if not isinstance(vjps, Sequence):
        raise DtypeError(
            f"formula of {name}: it takes any number of arguments: rules is"
            " every(lambda index: Rule(latex, numpy))"
        )
    if len(rules) != len(vjps):
        raise ArgumentError(f"formula of {name}: {len(vjps)} arguments, got {len(rules)} rules")
    found: list[Rule | None] = []
    for index, (rule, vjp) in enumerate(zip(rules, vjps, strict=True)):
        if (rule is None) != (vjp is None):
            has, given = ("a", "None") if rule is None else ("no", "a rule")
            raise ArgumentError(
                f"formula of {name}: argument {index} has {has} gradient rule, got {given}"
            )
        if rule is not None and not (isinstance(rule, tuple) and len(rule) in (2, 4)):
            raise DtypeError(
                f"formula of {name}: rule {index}: expected a pair (LaTeX, NumPy), got {rule!r}"
            )
        found.append(None if rule is None else Rule(*rule))
    return found


def _check(what: str, latex: Text, numpy: Text, declared: set[str]) -> None:
    """Refuse texts that could not be shown or run; functions are not called yet."""
    for text in (latex, numpy):
        if not isinstance(text, str) and not callable(text):
            raise DtypeError(f"{what}: expected a text or a function, got {text!r}")
        for name in placeholders(text) if isinstance(text, str) else ():
            if name not in declared:
                known = ", ".join(f"${p}" for p in sorted(declared))
                raise ArgumentError(f"{what}: ${name} stands for nothing; there are {known}")
    stand_ins = dict.fromkeys(declared, "x")
    try:
        if isinstance(latex, str):
            mathml(fill(latex, stand_ins))
        if isinstance(numpy, str):
            ast.parse(fill(numpy, stand_ins), mode="eval")
    except ArgumentError as error:
        raise ArgumentError(f"{what}: {error}") from None
    except SyntaxError as error:
        raise ArgumentError(f"{what}: {numpy!r} is no Python: {error.msg}") from None
