"""Ctrl-C at any moment, and losses that are not finite."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.errors import NonFiniteError
from tinygrad_cnn.train import History, evaluate, fit

ROOT = Path(__file__).parents[2]


def _batch(n: int = 8) -> tuple[tc.Tensor, Any]:
    rng = np.random.default_rng(0)
    return tc.tensor(rng.standard_normal((n, 4)).astype(np.float32)), rng.integers(0, 3, n)


def _linear(inputs: int = 4) -> tc.nn.Linear:
    return tc.nn.Linear(inputs, 3, generator=np.random.default_rng(0))


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


# -- Ctrl-C --------------------------------------------------------------------------------


class _Interrupting:
    """Batches that raise KeyboardInterrupt before the given one of all."""

    def __init__(self, at: int, per_epoch: int = 3) -> None:
        self.at, self.per_epoch, self.count = at, per_epoch, 0

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.per_epoch):
            if self.count == self.at:
                raise KeyboardInterrupt
            self.count += 1
            yield _batch()


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize(("at", "finished"), [(0, 0), (2, 0), (4, 1)])
def test_an_interrupted_epoch_ends_cleanly(
    at: int, finished: int, validated: bool, tmp_path: Path
) -> None:
    model, path, log = _linear(), tmp_path / "best.npz", tmp_path / "log.jsonl"
    ends: list[dict[str, Any]] = []
    history = fit(
        model,
        _Interrupting(at),
        epochs=3,
        validation=[_batch()] if validated else None,
        callbacks=[lambda history, model: ends.append(model.state_dict())],
        checkpoint=path,
        log=log,
    )
    assert history.interrupted
    assert len(history) == finished
    assert len(log.read_text("utf-8").splitlines()) == 1 + finished
    with np.load(path) as saved:
        assert _same(dict(saved), model.state_dict())
    if finished:  # back to the best where there is one, else on with what there is
        assert _same(model.state_dict(), ends[-1]) == validated


def test_an_interrupting_callback_keeps_the_epoch() -> None:
    def stop(history: History, model: tc.nn.Module) -> None:
        raise KeyboardInterrupt

    history = fit(_linear(), [_batch()], epochs=3, callbacks=[stop])
    assert history.interrupted
    assert len(history) == 1
    assert repr(history).endswith("interrupted")


def test_an_interrupted_batch_leaves_no_trace() -> None:
    model = tc.nn.Sequential(tc.nn.BatchNorm1d(4), _linear())
    before = model.state_dict()

    def interrupted(scores: Any, labels: Any) -> Any:
        raise KeyboardInterrupt

    assert fit(model.eval(), [_batch()], epochs=1, loss=interrupted).interrupted
    assert _same(model.state_dict(), before)
    assert not model.training
    assert not model[0].training


def test_a_second_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*args: Any) -> None:
        raise KeyboardInterrupt

    model = _linear()
    monkeypatch.setattr(model, "load_state_dict", again)
    with pytest.raises(KeyboardInterrupt):
        fit(model, _Interrupting(4), epochs=3, validation=[_batch()])


_ENDLESS = """
import sys
import numpy as np
import tinygrad_cnn as tc
rng = np.random.default_rng(0)
data = [(rng.random((8, 4), np.float32), rng.integers(0, 3, 8))] * 50
history = tc.train.fit(
    tc.nn.Linear(4, 3), data, epochs=10**6, validation=data[:1], checkpoint=sys.argv[1],
    log=sys.argv[2], progress=True,
)
print("interrupted" if history.interrupted else "finished", history.best.epoch)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends the signal of Ctrl-C")
def test_ctrl_c_ends_a_process_without_a_traceback(tmp_path: Path) -> None:
    best, log = tmp_path / "best.npz", tmp_path / "log.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(best), str(log)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20
        while not (log.exists() and log.read_bytes().count(b"\n") > 3):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output.startswith("interrupted")
    assert "Traceback" not in errors
    with np.load(best) as saved:
        assert set(saved) == {"weight", "bias"}
    assert log.read_bytes().endswith(b"}\n")
    assert sorted(tmp_path.iterdir()) == [best, log]


# -- not finite ----------------------------------------------------------------------------


class _Log(tc.nn.Module):
    """Breaks where an input is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = tc.nn.BatchNorm1d(4)
        self.drop = tc.nn.Dropout(0.5)
        self.head = _linear()

    def forward(self, x: Any) -> Any:
        x = self.drop(self.norm(x)) * 0.0 + x
        return self.head(tc.log(x))  # the line to be named

    @classmethod
    def bad_line(cls) -> str:
        lines, first = inspect.getsourcelines(cls.forward)
        offset = next(i for i, line in enumerate(lines) if "the line to be named" in line)
        return f"{__file__}:{first + offset}"


def _positive(*, broken: bool) -> tuple[tc.Tensor, Any]:
    x, y = _batch()
    x = tc.tensor(np.abs(x.numpy()) + 1)
    if broken:
        x.data[2, 1] = 0.0
    return x, y


def test_a_loss_that_is_not_finite_names_operation_and_line(tmp_path: Path) -> None:
    model, twin = _Log(), _Log()
    good, bad = _positive(broken=False), _positive(broken=True)
    fit(twin, [good, good], epochs=1, seed=0)
    log = tmp_path / "log"
    with pytest.raises(NonFiniteError) as caught:
        fit(model, [good, good, bad, good], epochs=1, seed=0, log=log)
    message = str(caught.value)
    first, second, *_ = message.splitlines()
    assert first.startswith("epoch 1, batch 3: the loss is ")
    assert second == "log made 1 infinite of 32 values in _Log"
    assert _Log.bad_line() in message
    # Weights, buffers, gradients and generator are those after the last good batch.
    assert _same(model.state_dict(), twin.state_dict())
    assert all(parameter.grad is None for parameter in model.parameters())
    state = tc.default_generator().bit_generator.state
    fit(twin, [good, good], epochs=1, seed=0)
    assert tc.default_generator().bit_generator.state == state
    assert len(log.read_text("utf-8").splitlines()) == 1


def test_layers_and_default_loss_are_named_by_scope_and_the_call_of_fit() -> None:
    x, y = _batch()
    model = tc.nn.Sequential({"first": tc.nn.Linear(4, 4), "second": _linear()})
    with tc.no_grad():
        model.first.weight.data[...] = 1e38
    with pytest.raises(NonFiniteError) as caught:
        fit(model, [(x * 1e3, y)], epochs=1)
    message = str(caught.value)
    assert "matmul made" in message
    assert "first/linear" in message
    assert f"{__file__}:" in message
    assert "fit(model, [(x * 1e3, y)], epochs=1)" in message


def test_the_same_dropout_is_drawn_again() -> None:
    """The only value that breaks the logarithm survives in half of all draws."""
    x = np.full((1, 1), 0.5, np.float32)
    own = np.random.default_rng(3)

    def loss(scores: tc.Tensor, targets: Any) -> tc.Tensor:
        return tc.sum(tc.log(1.0 - scores)) + tc.sum(scores) * 0.0

    errors = []
    for seed in range(20):
        weight = tc.nn.Linear(1, 1, bias=False)
        weight.weight.data[...] = 1.0
        model = tc.nn.Sequential(weight, tc.nn.Dropout(0.5, generator=own if seed % 2 else None))
        try:
            fit(model, [(x, x)], epochs=1, loss=loss, seed=seed)
        except NonFiniteError as error:
            errors.append(str(error))
    assert 0 < len(errors) < 20
    assert all("log made 1 infinite" in error for error in errors)


def test_gradients_that_are_not_finite_stop_the_run_before_the_step() -> None:
    model = tc.nn.Linear(1, 1, bias=False)
    before = model.state_dict()

    def loss(scores: tc.Tensor, targets: Any) -> tc.Tensor:
        return tc.sum(tc.sqrt(scores * 0.0))

    with pytest.raises(NonFiniteError, match="gradient of weight is not finite") as caught:
        fit(model, [(np.ones((1, 1), np.float32), [0])], epochs=1, loss=loss)
    assert "the gradient of sqrt" in str(caught.value)
    assert "tc.sum(tc.sqrt(scores * 0.0))" in str(caught.value)
    assert _same(model.state_dict(), before)


def test_a_model_that_can_not_be_repeated_is_told() -> None:
    calls = iter([np.nan])

    def loss(scores: tc.Tensor, targets: Any) -> tc.Tensor:
        return tc.functional.cross_entropy(scores, targets) * next(calls, 1.0)

    with pytest.raises(NonFiniteError, match="once more gave finite values only"):
        fit(_linear(), [_batch()], epochs=1, loss=loss, compile=False)


def test_validation_must_be_finite_too() -> None:
    model = _Log()
    with pytest.raises(NonFiniteError, match=r"evaluate, batch 2: the loss is (inf|nan)\nlog made"):
        evaluate(model, [_positive(broken=False), _positive(broken=True)])
    assert model.training
    with pytest.raises(NonFiniteError) as caught:
        fit(model, [_positive(broken=False)], epochs=1, validation=[_positive(broken=True)])
    assert _Log.bad_line() in str(caught.value)
