"""What the source of a hand-written backward tells, where it can be had."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from typing import Any


def assigns_twice(function: Any) -> bool:
    """Whether a result is assigned twice without its old value: ``dx = a`` and then ``dx = b``.

    An assignment in a loop counts as several. Where there is no source, as for arrays, there is
    no sign of it.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    returned = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Return) and node.value is not None
        for name in ast.walk(node.value)
        if isinstance(name, ast.Name)
    }
    written: Counter[str] = Counter()
    for node in ast.walk(tree):
        in_loop = isinstance(node, (ast.For, ast.While))
        for inner in ast.walk(node) if in_loop else (node,):
            if isinstance(inner, ast.Assign):
                written.update(_overwritten(inner, returned, plain_only=in_loop))
    return any(count > 1 for count in written.values())


def _overwritten(node: ast.Assign, returned: set[str], plain_only: bool) -> set[str]:
    """The results that an assignment replaces, regardless of what they held."""
    used = {ast.unparse(part) for part in ast.walk(node.value)}
    found = set()
    for target in node.targets:
        base = target.value if isinstance(target, ast.Subscript) else target
        if plain_only and not isinstance(target, ast.Name):
            continue
        if isinstance(base, ast.Name) and base.id in returned and ast.unparse(target) not in used:
            found.add(ast.unparse(target))
    return found
