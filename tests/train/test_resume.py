"""``fit(resume=True)``: the bits of a run that was not interrupted, wherever it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.resumable import arguments, arrays, bits, trained
from tinygrad_cnn.compiler import get_num_threads, set_num_threads
from tinygrad_cnn.train import Checkpoints, EarlyStopping, History, fit, read_checkpoint


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(request.param)
    yield
    set_num_threads(before)


@pytest.mark.parametrize("stop", range(15))
def test_stopped_before_any_batch(stop: int, tmp_path: Path) -> None:
    history, expected = trained()
    interrupted, _ = trained(tmp_path, stop=stop)
    assert interrupted.interrupted
    assert len(interrupted) == stop // 5
    resumed, found = trained(tmp_path)
    assert found == expected
    assert not resumed.interrupted
    assert len(resumed) == len(history)


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("stop", [3, 7])
def test_compiled(stop: int, threads: None, tmp_path: Path) -> None:
    _, expected = trained(compile=True)
    trained(tmp_path, stop=stop, compile=True)
    assert trained(tmp_path, compile=True)[1] == expected


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adadelta"])
def test_every_optimizer(name: str, tmp_path: Path) -> None:
    def optimizer(parameters: Any, lr: float) -> tc.optim.Optimizer:
        options = {"momentum": 0.9} if name == "SGD" else {}
        return getattr(tc.optim, name)(parameters, lr=lr, **options)

    def falling(optimizer: tc.optim.Optimizer) -> tc.optim.LRScheduler:
        return tc.optim.ExponentialLR(optimizer, 0.7)

    options: dict[str, Any] = {
        "optimizer": optimizer, "schedule": falling, "schedule_every": "epoch", "clip_norm": 0.5,
    }  # fmt: skip
    trained(tmp_path, stop=8, **options)
    assert trained(tmp_path, **options)[1] == trained(**options)[1]


class _Drawing:
    """Batches that are drawn from all generators there are, anew in each epoch."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(5)
        self.stop: int | None = None
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        x, y = arrays()
        order = tc.default_generator().permutation(len(x))
        for _ in range(3):
            if self.count == self.stop:
                raise KeyboardInterrupt
            self.count += 1
            chosen = [self.generator.integers(30), random.randrange(30)]
            noise = np.float32(np.random.normal())  # noqa: NPY002 (it keeps the second of two)
            yield x[[*order[:4], *chosen]] + noise, y[[*order[:4], *chosen]]


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_data_that_draw_from_any_generator(stop: int, tmp_path: Path) -> None:
    def run(folder: Any = None, stop: int | None = None) -> str:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        data = _Drawing()
        data.stop = stop
        return trained(folder, every=1, data=data)[1]

    expected = run()
    run(tmp_path, stop)
    random.seed(2)  # a new process draws something else
    assert run(tmp_path) == expected


class _Counting:
    """A callback with a state, which also freezes and thaws the first layer."""

    def __init__(self) -> None:
        self.calls = np.zeros(2)

    def __call__(self, history: History, model: Any) -> None:
        self.calls[0] += 1
        model[0].requires_grad_(len(history) % 2 == 0)

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


def test_callbacks_and_frozen_layers(tmp_path: Path) -> None:
    first, second = _Counting(), _Counting()
    _, expected = trained(callbacks=[first])
    trained(tmp_path, stop=8, callbacks=[_Counting()])
    assert trained(tmp_path, callbacks=[second])[1] == expected
    assert second.calls[0] == first.calls[0] == 3


def test_in_one_process_with_the_same_objects(tmp_path: Path) -> None:
    """As in a notebook: Ctrl-C, look, go on."""
    _, expected = trained()
    given = {**arguments(stop=8), "checkpoints": Checkpoints(tmp_path, every=1)}
    assert fit(**given).interrupted
    given["data"].stop = None
    assert bits(fit(**given, resume=True), given["model"], given["schedule"].optimizer) == expected


def test_without_checkpoints_it_starts(tmp_path: Path) -> None:
    assert trained(tmp_path / "a" / "new")[1] == trained()[1]


def test_a_finished_run_is_read_and_can_be_made_longer(tmp_path: Path) -> None:
    _, expected = trained(epochs=3)
    trained(tmp_path, epochs=2)
    assert trained(tmp_path, epochs=2)[1] == trained(epochs=2)[1]
    assert trained(tmp_path, epochs=3)[1] == expected


def test_what_a_callback_has_ended_stays_ended(tmp_path: Path) -> None:
    def run() -> tuple[History, str]:
        return trained(tmp_path, epochs=40, callbacks=[EarlyStopping(1)])

    history, ended = run()
    assert len(history) < 40
    assert run()[1] == ended


def test_the_best_weights_survive(tmp_path: Path) -> None:
    seen: list[Any] = []

    def note(history: History, model: Any) -> None:
        seen.append(model.state_dict())

    trained(tmp_path, callbacks=[note])
    given = arguments()
    path = tmp_path / "best.npz"
    history = fit(**given, checkpoints=tmp_path, resume=True, checkpoint=path)
    best = seen[history.best.epoch - 1]
    assert all((given["model"].state_dict()[key] == best[key]).all() for key in best)
    with np.load(path) as saved:
        assert all((saved[key] == best[key]).all() for key in best)


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    history, _ = trained(tmp_path / "a", every=2, epochs=6)
    names = sorted(path.name for path in (tmp_path / "a").glob("*.ckpt"))
    last = ["00005-000002.ckpt", "00005-000004.ckpt", "00006-000000.ckpt"]
    assert names == sorted({*last, f"{history.best.epoch:05}-000000.ckpt"})
    fit(**arguments(), checkpoints=Checkpoints(tmp_path / "b", seconds=0, keep=1))
    assert len(list((tmp_path / "b").glob("*.ckpt"))) <= 2
    fit(**arguments(), checkpoints=Checkpoints(tmp_path / "c", seconds=1000, keep=99))
    assert len(list((tmp_path / "c").glob("*.ckpt"))) == 3


def test_the_log_ends_with_the_whole_run(tmp_path: Path) -> None:
    from json import loads

    log = tmp_path / "log.jsonl"
    trained(tmp_path / "run", stop=8, log=log)
    trained(tmp_path / "run", log=log)
    records = [loads(line) for line in log.read_text("utf-8").splitlines()]
    starts = [number for number, record in enumerate(records) if record["kind"] == "settings"]
    assert [record["epoch"] for record in records[starts[-1] + 1 :]] == [1, 2, 3]


def test_weights_of_a_checkpoint_start_another_run(tmp_path: Path) -> None:
    trained(tmp_path)
    state = read_checkpoint(tmp_path / "00003-000000.ckpt")
    model = arguments()["model"]
    model.load_state_dict(state["model"])
    assert state["history"][-1]["epoch"] == 3
