"""``compile``: a function that is recorded at its first call, and run as a program from then on."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from .._core.context import per_thread
from .._core.symbol import replaying
from ..errors import ArgumentError
from ..ops.conventions import current_conventions
from ._check import Checked
from ._entry import Entry, FailedError
from ._executors import EXECUTORS, UnsupportedError, chain
from ._signature import described, flatten
from ._symbols import UntraceableError, line_of
from ._trace import Trace

P = ParamSpec("P")
R = TypeVar("R")
_STOPPING = {"raise", "call"}  # modes of NumPy's floating-point errors
_MOST_PROGRAMS = 64  # of one function; then the oldest goes
_MOST_VARIANTS = 4  # programs for one kind of arguments, as what lies around the function varies
_MOST_TRACES = 32  # for one kind of arguments; then it varies all the time
_MOST_KINDS = 32  # of arguments that came once each; from then on one must come twice in a row


class CompileWarning(UserWarning):
    """A compiled function runs as it is written, and why."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's garbage collector, which would look at a growing recording over and over."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Compiled(Generic[P, R]):
    """A function that runs as a program: what ``compile`` returns.

    Attributes:
        function: as it was written.
        entries: for each kind of arguments the program, or why there is none.
    """

    def __init__(self, function: Callable[P, R], executor: str, accuracy: str, check: bool) -> None:
        plain = isinstance(function, FunctionType)
        functools.update_wrapper(self, function, updated=("__dict__",) if plain else ())
        self.function = function
        self.executor, self.accuracy, self.check = executor, accuracy, check
        self.entries: dict[Any, Entry | str] = {}
        self._others: dict[Any, list[Entry]] = {}
        self._traces: dict[Any, int] = {}
        self._kinds = 0  # of arguments since there was a program for one
        self._passed: Any = None  # the last kind for which none was made
        self._warned: set[str] = set()
        self._lock = threading.RLock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What a module or another object has that was compiled."""
        if name.startswith("__") or "function" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> Any:
        name = getattr(self.function, "__qualname__", "")
        module = sys.modules.get(getattr(self.function, "__module__", None) or "")
        if getattr(module, name, None) is self:  # the decorator has put it in the function's place
            return name
        return Compiled, (self.function, self.executor, self.accuracy, self.check)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        context = per_thread.context
        if context.tracer is not None or context.check_finite:
            return self.function(*args, **kwargs)
        if not _STOPPING.isdisjoint(np.geterr().values()):
            return self.function(*args, **kwargs)  # at the operation that does it
        leaves: list[Any] = []
        structure = flatten((args, kwargs), leaves)
        key = (structure, *map(described, leaves), context.recording, current_conventions())
        with self._lock:
            entry = self._entry(key, structure, leaves)
            if isinstance(entry, str):
                misfit = entry
            else:
                arrays = entry.trace.reading.arrays(leaves)
                misfit = entry.trace.reading.misfit(arrays, leaves)
                if not misfit:
                    if entry.calls:
                        self._kinds = 0
                    entry.calls += 1
                    try:
                        return cast(R, entry(arrays, leaves, structure))
                    except FailedError as error:
                        draws, cause = error.draws, error.__cause__
                    with replaying(draws):
                        self.function(*args, **kwargs)
                    assert cause is not None
                    raise cause
        try:
            return self._eagerly(misfit, args, kwargs)
        except Exception:  # the arguments were wrong, not the function
            if isinstance(entry, str):
                self.entries.pop(key, None)
            raise

    def _entry(self, key: Any, structure: Any, leaves: list[Any]) -> Entry | str:
        """The program for a call, or why there is none."""
        entry = self.entries.get(key)
        if entry is None and self._is_fleeting(key):
            return "its arguments hold another number or object in every call"
        if isinstance(entry, Entry) and not entry.is_valid():
            others = self._others.setdefault(key, [])
            others.append(entry)
            entry = next((other for other in others if other.is_valid()), None)
            if entry is not None:
                others.remove(entry)
                self.entries[key] = entry
            del others[: -_MOST_VARIANTS + 1]
        if entry is None:
            entry = self.entries[key] = self._made_anew(key, structure, leaves)
        elif isinstance(entry, Entry) and entry.calls == 1:
            entry = self.entries[key] = self._confirmed(entry, structure, leaves)
        while len(self.entries) > _MOST_PROGRAMS:
            oldest = next(iter(self.entries))
            for known in (self.entries, self._others, self._traces):
                known.pop(oldest, None)
        return entry

    def _is_fleeting(self, key: Any) -> bool:
        """Whether arguments of this kind are not expected again: many came once, and so do they."""
        self._kinds += 1
        if self._kinds <= _MOST_KINDS:
            return False
        again, self._passed = key == self._passed, key
        return not again

    def _made_anew(self, key: Any, structure: Any, leaves: list[Any]) -> Entry | str:
        self._traces[key] = self._traces.get(key, 0) + 1
        if self._traces[key] > _MOST_TRACES:
            self._others.pop(key, None)
            return "what lies around it and is read by it varies all the time"
        return self._made(structure, leaves)

    def numpy_source(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """What a call with arguments like these computes, as readable NumPy.

        The source of a function of all arrays that take part (arguments, parameters, captured
        arrays, random numbers) with a line for each operation, below the layer and the line of
        the user's code that it comes from. It returns the list of results, gradients and new
        values. The function itself is not carried out.

        Raises:
            GraphError: the function cannot be recorded, or an operation has no name in NumPy.

        >>> import tinygrad_cnn as tc
        >>> double = tc.compiler.compile(lambda x: 2.0 * x)
        >>> print(double.numpy_source(tc.tensor([1.0, 2.0])).splitlines()[-4].strip())
        multiply = 2.0 * x
        """
        from .planned import numpy_source

        leaves: list[Any] = []
        structure = flatten((args, kwargs), leaves)
        trace = Trace(self.function, structure, leaves, EXECUTORS["numpy"].swaps)
        return numpy_source(trace, self.function)

    def scalar_source(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """What a call with arguments like these computes, as Python on single numbers.

        Raises:
            GraphError: the function cannot be recorded, or works on more than single float64.

        >>> import tinygrad_cnn as tc
        >>> energy = tc.compiler.compile(lambda x, y: x * y + 1.0)
        >>> print(energy.scalar_source(tc.tensor(2.0), tc.tensor(3.0)))
        def program(x0, x1):
            t0 = x0 * x1 + 1.0
            return (t0,)
        <BLANKLINE>
        """
        from .scalars import ScalarRunner

        leaves: list[Any] = []
        structure = flatten((args, kwargs), leaves)
        runner = ScalarRunner(Trace(self.function, structure, leaves).program)
        return "\n\n".join(runner.functions)

    def _eagerly(self, reason: str, args: Any, kwargs: Any) -> R:
        result = self.function(*args, **kwargs)
        if reason not in self._warned:
            self._warned.add(reason)
            name = getattr(self.function, "__qualname__", type(self.function).__name__)
            code = getattr(getattr(self.function, "forward", self.function), "__code__", None)
            if code is not None and " at " not in reason:
                reason += f", at {code.co_filename}:{code.co_firstlineno}"
            warnings.warn(
                f"{name} runs as it is written, not compiled: {reason}",
                CompileWarning,
                stacklevel=3,
            )
        return result

    @_no_collection()
    def _made(self, structure: Any, leaves: list[Any]) -> Entry | str:
        """The program for these arguments, by the first executor that can run it."""
        declined: list[str] = []
        traces: dict[int, Trace] = {}  # by the id of the swaps
        for executor in chain(self.executor):
            if reason := executor.declines(leaves):
                declined.append(f"{executor.name}: {reason}")
                continue
            try:
                trace = traces.get(id(executor.swaps))
                if trace is None:
                    trace = Trace(self.function, structure, leaves, executor.swaps)
                    traces[id(executor.swaps)] = trace
                runner = executor.build(trace, self)
                if self.check:
                    plain = Trace(self.function, structure, leaves)
                    runner = Checked(runner, trace, plain, leaves)
                return Entry(self.function, trace, runner, executor.name, declined, self)
            except UnsupportedError as error:
                declined.append(f"{executor.name}: {error}")
            except UntraceableError as error:
                return str(error)
            except Exception as error:  # the function as written says it better, or does not fail
                where = line_of(error)
                return f"it could not be recorded ({type(error).__name__}: {error}){where}"
        return "; ".join(declined)

    @_no_collection()
    def _confirmed(self, entry: Entry, structure: Any, leaves: list[Any]) -> Entry | str:
        """The program, if the function does the same again; asked at its second call."""
        swaps = EXECUTORS[entry.executor].swaps
        try:
            again = Trace(self.function, structure, leaves, swaps, listen=False)
        except Exception as error:
            return f"it could not be recorded again ({error})"
        if again.fingerprint() != entry.trace.fingerprint():
            return "it does something else in each call, which does not follow from its arguments"
        return entry


@overload
def compile(
    function: Callable[P, R],
    *,
    executor: str = "auto",
    accuracy: str = "default",
    check: bool = False,
) -> Compiled[P, R]: ...
@overload
def compile(
    function: None = None, *, executor: str = "auto", accuracy: str = "default", check: bool = False
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


def compile(
    function: Callable[..., Any] | None = None,
    *,
    executor: str = "auto",
    accuracy: str = "default",
    check: bool = False,
) -> Any:
    """The same function, run as a program: recorded at its first call, fast from then on.

    It may take and return Tensors and arrays (also in tuples, lists and dicts), use parameters
    of modules around it, draw random numbers through this package (dropout), call ``backward``
    and an optimiser's ``step``: a whole training step is one program. Other kinds of arguments
    (shapes, dtypes, training or not, recording or not) make other programs. What depends on
    values in a way that cannot be recorded runs as it is written, with one warning. So does what
    changes objects around it. Results are arrays of their own, also where they would be views.

    Args:
        function: of Tensors; without it, the decorator.
        executor: "auto" takes the fastest that can run it; "lanes" (native code, extra ``fast``),
            "numpy" or "scalars" insist on one.
        accuracy: of convolutions in float32: "default" has rounding errors below 1e-6 of the
            result (root mean square), "fast" allows larger Winograd tiles, with several times that.
        check: compare the first run with what eager mode computes, gradients included, and raise
            on a difference.

    Raises:
        ArgumentError: an option is unknown, or ``function`` cannot be called.
        GraphError: at the first call, if ``check`` finds a difference.

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor(2.0, requires_grad=True)
    >>> @tc.compile
    ... def energy(x):
    ...     return (w * x) ** 2
    >>> energy(tc.tensor(3.0)).backward()
    >>> w.grad
    tensor(36.)
    """
    if executor != "auto" and executor not in EXECUTORS:
        raise ArgumentError(
            f"compile: executor={executor!r}, expected one of {['auto', *EXECUTORS]}"
        )
    if accuracy not in ("default", "fast"):
        raise ArgumentError(f"compile: accuracy={accuracy!r}, expected 'default' or 'fast'")
    if function is None:
        return functools.partial(compile, executor=executor, accuracy=accuracy, check=check)
    if not callable(function):
        raise ArgumentError(f"compile: {function!r:.60} is no function")
    return Compiled(function, executor, accuracy, check)
