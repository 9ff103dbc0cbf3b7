"""Hard input for everything public: ``python tests/robustness/fuzz.py --calls 200 --seed 1``.

Each call that the documentation shows is made again with one argument that is wrong, odd or huge.
Allowed are a result, an error of this package, and Python's TypeError for a call that does not
fit the signature; a bare internal error, a call that takes too long, and an array of another
layout in memory that changes the result are problems.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from calls import Recipe, public_objects, recipes

import tinygrad_cnn as tc
from tinygrad_cnn import _arguments
from tinygrad_cnn.errors import TinygradCnnError

SECONDS = 5.0  # for one call
LEFT = 2**30  # bytes that are said to be available: what is refused shall be so at once
# Too large for one of many calls, or built of layers that are tried by themselves.
SLOW = {
    "VGG", "AlexNet", "AlexNet2012", "AllConvolutional", "CifarResNet", "GoogLeNet", "ZFNet",
    "NetworkInNetwork", "PreActResNet", "ResNet", "TrainingReport", "lr_range_test",
    "sanity_check", "training_memory", "audit", "fit",
}  # fmt: skip
WHOLE = (0, -1, 1, 7, 2**31, 10**12, 2**63, 10**30, 1.5, float("nan"), True, "3", None, (1, 2), [])
REAL = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e300, 2, 1j, "x", None, (), True)
TEXT = ("", "nonsense", "\0", None, 3, b"mean", ("mean",), "é" * 100)
OTHER = (None, 3, "x", (), [1, "x"], {}, object(), lambda *_: None, np.array(["a"]))


class TimeoutError_(BaseException):
    """A call took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Stop what takes longer."""

    def stop(*_: Any) -> None:
        raise TimeoutError_

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- what is given -------------------------------------------------------------------------


def _fortran(x: np.ndarray) -> np.ndarray:
    return np.asfortranarray(x)


def _reversed(x: np.ndarray) -> np.ndarray:
    """Negative strides."""
    whole = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[whole])[whole]


def _apart(x: np.ndarray) -> np.ndarray:
    """Strides that leave gaps."""
    return np.repeat(x, 2, -1)[..., ::2] if x.ndim else x


def _unaligned(x: np.ndarray) -> np.ndarray:
    made = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    made.flags.writeable = False
    return made


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def _swapped(x: np.ndarray) -> np.ndarray:
    """The other order of bytes."""
    return x.astype(x.dtype.newbyteorder())


LAYOUTS = (_fortran, _reversed, _apart, _read_only, _unaligned, _swapped)


def _filled(value: float) -> Callable[[np.ndarray], Any]:
    def fill(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # infinite in float16
            return np.full(x.shape, value, x.dtype if x.dtype.kind == "f" else float)

    return fill


WRONG: tuple[Callable[[np.ndarray], Any], ...] = (
    *(lambda x, kind=kind: x.astype(kind) for kind in ("?", "i8", "u1", "c16", "f2", "O", "U3")),
    *map(_filled, (np.nan, np.inf, -np.inf, 1e300, 0.0)),
    lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, x, np.nan),
    lambda x: x[..., :0] if x.ndim else x[None][:0],
    lambda x: x[:0] if x.ndim else x,
    lambda x: np.zeros(0),
    lambda x: np.zeros((0,) * (x.ndim + 1)),
    lambda x: x[None],
    lambda x: x[0] if x.ndim and len(x) else x,
    lambda x: x.T,
    lambda x: np.concatenate([x, x]) if x.ndim else x,
    lambda x: np.pad(x, 1) if x.dtype.kind in "iuf" else x,
    lambda x: np.float64(1.0),
    lambda x: [[1.0], [1.0, 2.0]],
    lambda x: np.broadcast_to(x.dtype.type(0), (*x.shape[:-1], 2**20)),
    lambda x: x.astype("M8[s]") if x.dtype.kind == "i" else x.astype("O"),
    lambda x: np.ma.masked_array(x),
    lambda x: -x if x.dtype.kind in "if" else x,
    lambda x: x.tolist(),
)


def mutated(value: Any, choose: random.Random) -> Any:
    """Something else in the place of an argument."""
    if choose.random() < 0.1:
        return choose.choice(OTHER)
    if isinstance(value, tc.Tensor) and not isinstance(value, tc.nn.Parameter):
        changed = choose.choice(WRONG)(np.asarray(value.data))
        try:
            grad = choose.random() < 0.5 and np.asarray(changed).dtype.kind == "f"
            return tc.Tensor(changed, requires_grad=bool(grad))
        except (TinygradCnnError, ValueError):
            return changed
    if isinstance(value, np.ndarray):
        return choose.choice(WRONG)(value)
    if isinstance(value, (tuple, list)) and value and choose.random() < 0.7:
        items = list(value)
        place = choose.randrange(len(items))
        items[place] = mutated(items[place], choose)
        return type(value)(items) if type(value) in (tuple, list) else tuple(items)
    numbers = ((int, np.integer), WHOLE), ((float, np.floating), REAL)
    for kinds, values in (((bool,), TEXT), *numbers):
        if isinstance(value, kinds):
            return choose.choice(values)
    return choose.choice(TEXT if isinstance(value, str) else OTHER)


# -- what comes of it ----------------------------------------------------------------------


def problem(call: Callable[[], Any]) -> str | None:
    """What is wrong with how a call ends; None if nothing is."""
    try:
        with limited(SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with redirect_stdout(StringIO()):
                result = call()
                if isinstance(result, tc.Tensor) and result.requires_grad and result.size:
                    result.backward(np.ones(result.shape, result.dtype))
    except TinygradCnnError:
        return None
    except TimeoutError_:
        return f"takes more than {SECONDS} s"
    except RecursionError as error:
        return f"{type(error).__name__}"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/tinygrad_cnn/" in frame.filename]
        if isinstance(error, TypeError) and not ours:
            return None  # the signature
        where = ours[-1] if ours else frames[-1]
        file = where.filename.rpartition("tinygrad_cnn/")[2]
        return f"{type(error).__name__}: {str(error)[:90]} [{file}:{where.lineno}]"
    return None


def hard_calls(recipe: Recipe, choose: random.Random, count: int) -> Iterator[tuple[str, str]]:
    """Makes calls like a recipe's; those with a problem, and what it is."""
    keys = [*range(len(recipe.args)), *recipe.kwargs]
    for _ in range(count if keys else 0):
        args, kwargs = copy.deepcopy((list(recipe.args), recipe.kwargs))
        key = choose.choice(keys)
        given: Any = args if isinstance(key, int) else kwargs
        try:
            given[key] = mutated(given[key], choose)
        except (ValueError, TypeError, OverflowError):
            continue
        found = problem(lambda args=args, kwargs=kwargs: recipe.make()(*args, **kwargs))
        if found:
            yield _shown(key, given[key]), found


def layout_problems(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where an array of another layout gives another result."""
    given = list(recipe.args)
    for place, value in enumerate(given):
        array = value.data if isinstance(value, tc.Tensor) else value
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            continue
        expected = _result(recipe, given, place, value)
        for layout in LAYOUTS:
            made: Any = layout(np.ascontiguousarray(array))
            if isinstance(value, tc.Tensor):
                made = tc.Tensor(made, requires_grad=value.requires_grad)
            found = _result(recipe, given, place, made)
            if not isinstance(found, str) and not _same(expected, found):  # else it says why not
                yield f"argument {place} {layout.__name__}", f"{found!r:.80} not {expected!r:.80}"


def _result(recipe: Recipe, given: list[Any], place: int, value: Any) -> Any:
    """What a call gives and the gradient of its argument, or the kind of its error."""
    tc.manual_seed(0)
    args, kwargs = copy.deepcopy((given, recipe.kwargs))
    args[place] = value
    if isinstance(value, tc.Tensor) and value.is_leaf and value.requires_grad:
        value.grad = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = recipe.make()(*args, **kwargs)
            if isinstance(result, tc.Tensor):
                found = [result.data]
                if isinstance(value, tc.Tensor) and value.requires_grad and result.requires_grad:
                    result.backward(np.ones(result.shape, result.dtype))
                    found.append(value.grad.data if value.grad is not None else None)
                    value.grad = None
                return found
            return [np.array(result)] if isinstance(result, (np.ndarray, np.generic)) else None
    except TinygradCnnError as error:
        return type(error).__name__


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, list) or not isinstance(b, list):
        return bool(a == b)
    return len(a) == len(b) and all(
        (x is None and y is None)
        or (np.shape(x) == np.shape(y) and np.allclose(x, y, 1e-5, 1e-6, equal_nan=True))
        for x, y in zip(a, b, strict=True)
    )


def _shown(key: Any, value: Any) -> str:
    if isinstance(value, tc.Tensor):
        value = value.data
    if isinstance(value, (np.ndarray, np.generic)):
        sample = value.flat[0] if value.size and value.size < 10**6 else ""
        return f"{key}={value.dtype}{list(value.shape)} {sample!r:.30}"
    return f"{key}={value!r:.60}"


def main() -> None:
    """Try everything; print the problems, each once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=100, help="of each example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    _arguments.available_memory = lambda: LEFT
    seen: set[tuple[str, str]] = set()
    for name, value in public_objects():
        if name.rpartition(".")[2] in SLOW or options.only not in name:
            continue
        for recipe in recipes(name, value):
            choose = random.Random(f"{options.seed} {recipe.name}")
            for shown, found in (
                *hard_calls(recipe, choose, options.calls),
                *layout_problems(recipe),
            ):
                key = name, found.partition("[")[2] or found
                if key not in seen:
                    seen.add(key)
                    print(f"{recipe.name}({shown}): {found}", flush=True)
    print(f"{len(seen)} problems")
    sys.exit(bool(seen))


if __name__ == "__main__":
    main()
