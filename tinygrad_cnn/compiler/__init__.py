"""``compile``: the same definitions, recorded once and run as programs."""

from ._explain import explain
from ._function import Compiled, CompileWarning, compile
from .threads import get_num_threads, set_num_threads

__all__ = [
    "CompileWarning",
    "Compiled",
    "compile",
    "explain",
    "get_num_threads",
    "set_num_threads",
]
