"""The fit loop: what it learns, what it keeps, what it writes, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.data import DataLoader, Digits, RandomShift
from tinygrad_cnn.errors import ArgumentError, DtypeError, TinygradCnnError
from tinygrad_cnn.train import EarlyStopping, Epoch, History, evaluate, fit

Batch = tuple[tc.Tensor, Any]


def _batches(n: int = 3, seed: int = 0) -> list[Batch]:
    rng = np.random.default_rng(seed)
    return [
        (tc.tensor(rng.standard_normal((8, 4)).astype(np.float32)), rng.integers(0, 3, 8))
        for _ in range(n)
    ]


def _model(seed: int = 0, *layers: tc.nn.Module) -> tc.nn.Sequential:
    return tc.nn.Sequential(tc.nn.Linear(4, 3, generator=np.random.default_rng(seed)), *layers)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


# -- learning ------------------------------------------------------------------------------


def test_a_convnet_learns_the_digits() -> None:
    model = tc.models.DigitsNet(generator=tc.manual_seed(0))
    data = DataLoader(Digits("train"), 32, shuffle=True, seed=0)
    test = DataLoader(Digits("test"), 256)
    optimizer = tc.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, data, epochs=2, validation=test, optimizer=optimizer)
    assert history.best is not None
    assert history[1].accuracy > history[0].accuracy  # type: ignore[operator]
    assert history[1].loss < history[0].loss
    loss, accuracy = evaluate(model, test)
    assert accuracy == history.best.validation_accuracy
    assert accuracy is not None
    assert accuracy > 0.8
    assert loss == pytest.approx(history.best.validation_loss)


def test_fit_does_what_a_loop_by_hand_does() -> None:
    by_hand, model = _model(), _model()
    optimizer = tc.optim.SGD(by_hand.parameters(), lr=0.1)
    for _ in range(2):
        for x, y in _batches():
            optimizer.zero_grad()
            tc.functional.cross_entropy(by_hand(x), y).backward()
            tc.optim.clip_grad_norm_(by_hand.parameters(), 0.5)
            optimizer.step()
    optimizer = tc.optim.SGD(model.parameters(), lr=0.1)
    fit(model, _batches(), epochs=2, optimizer=optimizer, clip_norm=0.5, compile=False)
    assert _same(model.state_dict(), by_hand.state_dict())


def test_two_runs_with_one_seed_are_equal_to_the_bit() -> None:
    def run() -> tuple[dict[str, Any], list[Any]]:
        model = tc.models.DigitsNet(generator=np.random.default_rng(1))
        net = tc.nn.Sequential(model, tc.nn.Dropout(0.2))
        images = Digits("train").subset(np.arange(200))
        data = DataLoader(images, 32, shuffle=True, transform=RandomShift(1), seed=3)
        history = fit(net, data, epochs=2, seed=5)
        return net.state_dict(), [(row.loss, row.accuracy) for row in history]

    (state, rows), (state_again, rows_again) = run(), run()
    assert _same(state, state_again)
    assert rows == rows_again


def test_gradients_left_by_the_user_do_not_count() -> None:
    clean, stale = _model(), _model()
    for x, y in _batches(1):
        (100 * tc.functional.cross_entropy(stale(x), y)).backward()
    for model in (clean, stale):
        fit(model, _batches(1), epochs=1, optimizer=tc.optim.SGD(model.parameters(), lr=0.1))
    assert _same(clean.state_dict(), stale.state_dict())
    assert all(parameter.grad is None for parameter in stale.parameters())


def test_frozen_parameters_stay_and_those_without_optimizer_collect_no_gradient() -> None:
    model = tc.nn.Sequential(tc.nn.Linear(4, 4), tc.nn.Linear(4, 4), tc.nn.Linear(4, 3))
    model[0].requires_grad_(False)
    before = model.state_dict()
    fit(model, _batches(), epochs=1, optimizer=tc.optim.SGD(model[2].parameters(), lr=0.1))
    changed = {key for key, value in model.state_dict().items() if (value != before[key]).any()}
    assert changed == {"2.weight", "2.bias"}
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("every", "expected"), [("epoch", [0.8, 0.4]), ("batch", [0.2, 0.025])])
def test_a_schedule_moves_every_epoch_or_batch(every: Any, expected: list[float]) -> None:
    model = _model()
    schedule = tc.optim.ExponentialLR(tc.optim.SGD(model.parameters(), lr=0.8), gamma=0.5)
    history = fit(model, _batches(3), epochs=2, schedule=schedule, schedule_every=every)
    assert [row.learning_rate for row in history] == pytest.approx(expected)


def test_other_losses_and_targets_need_no_classes() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 4))
    data = [(x, x @ np.ones((4, 1)))]
    model = tc.nn.Linear(4, 1, dtype=np.float64, generator=rng)
    optimizer = tc.optim.SGD(model.parameters(), lr=0.1)
    history = fit(
        model,
        data,
        epochs=60,
        validation=data,
        optimizer=optimizer,
        loss=tc.functional.mse_loss,
    )
    assert history.best is history[-1]
    assert history[-1].loss < 1e-3
    assert history[-1].accuracy is None
    assert history[-1].validation_accuracy is None


def test_modes_are_as_before() -> None:
    seen = []

    class Spy(tc.nn.Module):
        def forward(self, x: Any) -> Any:
            seen.append(self.training)
            return x

    model = _model(0, Spy(), tc.nn.Dropout(0.1))
    model.train()
    model[2].eval()
    fit(model, _batches(2), epochs=1, validation=_batches(1), compile=False)
    assert seen == [True, True, False]
    assert [model.training, model[1].training, model[2].training] == [True, True, False]
    assert tc.is_grad_enabled()


def test_one_graph_is_alive_at_a_time() -> None:
    import weakref

    graphs: list[weakref.ref[Any]] = []

    def loss(scores: tc.Tensor, labels: Any) -> tc.Tensor:
        assert all(graph() is None for graph in graphs)
        graphs.append(weakref.ref(scores))
        return tc.functional.cross_entropy(scores, labels)

    fit(_model(), _batches(), epochs=2, loss=loss, compile=False)
    assert len(graphs) == 6


# -- the best weights ----------------------------------------------------------------------


class _Spoil:
    """A callback that notes the state of every epoch, and then spoils it after the first."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def __call__(self, history: History, model: tc.nn.Module) -> None:
        self.states.append(model.state_dict())
        with tc.no_grad():
            for parameter in model.parameters():
                parameter.data[...] = -1e3 * parameter.data


def _normalised() -> tc.nn.Sequential:
    return tc.nn.Sequential(tc.nn.BatchNorm1d(4), _model())


def _fitting_data() -> list[Batch]:
    """Labels that the untrained model gives, so that spoiling it makes it worse."""
    model = _normalised().eval()
    return [(x, model(x).numpy().argmax(1)) for x, _ in _batches()]


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_model_ends_with_its_best_weights_and_buffers(keep_best: bool, tmp_path: Path) -> None:
    model, spoil, data = _normalised(), _Spoil(), _fitting_data()
    path = tmp_path / "best"
    options: dict[str, Any] = {"keep_best": keep_best, "callbacks": [spoil], "checkpoint": path}
    history = fit(model, data, epochs=3, validation=data, **options)
    assert history.best is history[0]
    assert _same(model.state_dict(), spoil.states[0]) == keep_best
    assert "0.running_mean" in spoil.states[0]
    assert not _same(spoil.states[0], spoil.states[1])
    with np.load(path) as saved:
        assert _same(dict(saved), spoil.states[0])
        model.load_state_dict(saved)
    assert list(tmp_path.iterdir()) == [path]


def test_without_validation_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    model = _model()
    history = fit(model, _batches(), epochs=2, checkpoint=tmp_path / "last.npz")
    assert history.best is history[-1]
    with np.load(tmp_path / "last.npz") as saved:
        assert _same(dict(saved), model.state_dict())


def test_a_checkpoint_that_fails_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.npz"
    fit(_model(), _batches(), epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        fit(_model(1), _batches(), epochs=1, checkpoint=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# -- log, callbacks, history ---------------------------------------------------------------


def test_the_log_has_a_line_of_settings_and_one_for_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for seed in (1, 2):
        history = fit(_model(), _batches(), epochs=2, validation=_batches(1), log=path, seed=seed)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line.pop("kind") for line in lines] == ["settings", "epoch", "epoch"] * 2
    settings = lines[3]
    assert settings["seed"] == 2
    assert settings["epochs"] == 2
    assert settings["optimizer"] == "Adam"
    assert settings["groups"][0]["lr"] == 0.001
    assert settings["parameters"] == 15
    assert [Epoch(**line) for line in lines[4:]] == history.epochs


def test_the_log_is_written_before_callbacks_run(tmp_path: Path) -> None:
    def fail(history: History, model: tc.nn.Module) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(_model(), _batches(), epochs=2, log=tmp_path / "log", callbacks=[fail])
    assert len((tmp_path / "log").read_text("utf-8").splitlines()) == 2


def test_early_stopping_ends_the_run_and_every_callback_sees_the_last_epoch() -> None:
    data, seen = _fitting_data(), []
    callbacks = [_Spoil(), EarlyStopping(2), lambda history, model: seen.append(len(history))]
    history = fit(_normalised(), data, epochs=9, validation=data, callbacks=callbacks)
    assert len(history) == 3
    assert seen == [1, 2, 3]
    assert not history.interrupted


def test_history_is_a_table() -> None:
    row = Epoch(1, 0.5, 0.9, 0.25, 0.95, 1.5, 1234.5, 1e-3)
    history = History([row, Epoch(2, 0.4, None, 0.3, 0.95, 1.5, 12.0, 1e-3)], interrupted=True)
    header, first, second, last = repr(history).splitlines()
    assert header.split()[:2] == ["epoch", "loss"]
    assert first.split() == (
        ["1", "0.5000", "90.00", "%", "0.2500", "95.00", "%", "1.5", "1,234", "0.001", "best"]
    )
    assert second.split()[:3] == ["2", "0.4000", "-"]
    assert last == "interrupted"
    assert history.best is row


def test_progress_shows_loss_accuracy_speed_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fit(_model(), _batches(), epochs=2, validation=_batches(1), progress=True)
    shown = capsys.readouterr().err
    for part in ("epoch 2/2", "3/3", "loss ", "acc. ", "images/s", "00:00<00:00", "val. loss"):
        assert part in shown
    fit(_model(), _batches(), epochs=1)  # captured output is no terminal
    assert capsys.readouterr().err == ""


# -- what is refused -----------------------------------------------------------------------


class _Unsized:
    def __iter__(self) -> Iterator[Batch]:
        return iter(())


def _foreign(model: tc.nn.Module) -> tc.optim.SGD:
    return tc.optim.SGD(_model().parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"data": []}, "no batch"),
        ({"data": _Unsized()}, "no batch"),
        ({"data": iter(_batches())}, "again and again"),
        ({"data": Digits("test")}, "DataLoader"),
        ({"data": (np.zeros((8, 4)), np.zeros(8, int))}, "got arrays: wrap it in DataLoader"),
        ({"validation": []}, "no batch"),
        ({"model": tc.nn.ReLU}, "model=<class .*, expected an instance of Module"),
        ({"optimizer": "adam"}, "optimizer='adam', expected an instance of Optimizer"),
        ({"schedule": tc.optim.StepLR}, "schedule=.*, expected an instance of LRScheduler"),
        ({"loss": "mse"}, "loss='mse', expected a function"),
        ({"callbacks": print}, "callbacks=<.*print>, expected a list of functions"),
        ({"callbacks": [3]}, r"callbacks=\[3\], expected a list of functions"),
        ({"seed": -1}, "manual_seed: -1, expected an integer from 0 up"),
        ({"model": tc.nn.ReLU()}, "ReLU has nothing to train: 0 parameters"),
        ({"model": _model().requires_grad_(False)}, "2 parameters, all of them frozen"),
        ({"optimizer": _foreign(_model())}, "updates no parameter"),
        ({"schedule_every": "step"}, "schedule_every='step'"),
        ({"clip_norm": 0.0}, "clip_norm=0.0"),
        ({"log": "missing/log.jsonl"}, "missing/log.jsonl"),
        ({"checkpoint": "."}, "is no file"),
    ],
)
def test_arguments_that_do_not_fit_change_nothing(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model = _model()
    before = model.state_dict()
    options = {"model": model, "data": _batches(), "epochs": 1, "log": tmp_path / "log", **change}
    with pytest.raises(ArgumentError, match=message):
        fit(**options)
    assert _same(model.state_dict(), before)
    if not isinstance(change.get("data"), _Unsized):  # which shows itself only when it is read
        assert not list(tmp_path.iterdir())


def test_a_loss_function_gives_a_tensor() -> None:
    with pytest.raises(DtypeError, match=r"the loss function returned 0\.5, expected a Tensor"):
        fit(_model(), _batches(), epochs=1, loss=lambda scores, labels: 0.5)  # type: ignore[arg-type,return-value]


def test_a_schedule_of_another_optimizer_is_refused() -> None:
    model = _model()
    own, schedule = (tc.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    with pytest.raises(ArgumentError, match="StepLR belongs to another optimizer"):
        fit(
            model,
            _batches(),
            epochs=1,
            optimizer=own,
            schedule=tc.optim.StepLR(schedule, step_size=1),
        )


def test_a_label_without_a_class_changes_nothing_and_is_located() -> None:
    model = _normalised()
    before = model.state_dict()
    x, y = _batches(1)[0]
    with pytest.raises(TinygradCnnError, match="is outside of 0 … 2") as caught:
        fit(model, [(x, y + 3)], epochs=1)
    assert caught.value.__notes__ == ["in epoch 1, batch 1"]
    assert _same(model.state_dict(), before)


def test_early_stopping_refuses_to_watch_nothing() -> None:
    with pytest.raises(ArgumentError, match="needs validation data"):
        fit(_model(), _batches(), epochs=2, callbacks=[EarlyStopping(1)])
    with pytest.raises(ArgumentError, match="patience=0"):
        EarlyStopping(0)
