"""``fit(resume=True)`` where it can't be: a clear error, and nothing changed."""

from __future__ import annotations

import shutil
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.resumable import arguments, arrays, convnet, trained
from tinygrad_cnn.errors import ArgumentError, CheckpointError
from tinygrad_cnn.train import Checkpoints, _archive, fit


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of a run that was stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("run")
    trained(folder, stop=8)
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def _snapshot(given: dict[str, Any]) -> list[Any]:
    """All that a resumed run would change."""
    optimizer, data = given["schedule"].optimizer, given["data"]
    values: list[Any] = [*given["model"].state_dict().values(), getattr(data, "epoch", None)]
    for state in optimizer.state_dict()["state"].values():
        values += state.values()
    values += [group["lr"] for group in optimizer.param_groups]
    generators = given["model"][5].generator, tc.default_generator()
    values += [repr(generator.bit_generator.state) for generator in generators]
    return [*values, repr(given["schedule"].state_dict())]


def _refused(folder: Path, match: str, **changes: Any) -> str:
    """The message of the error; nothing but it may come of it."""
    given = arguments(**changes)
    before, files = _snapshot(given), sorted(folder.iterdir())
    with pytest.raises(CheckpointError, match=match) as caught:
        fit(**given, checkpoints=folder, resume=True, seed=3, log=folder.parent / "log")
    for one, other in zip(before, _snapshot(given), strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(folder.iterdir()) == files
    assert not (folder.parent / "log").exists()
    return str(caught.value)


CHANGED = [
    ({"batch_size": 4}, r"data batch_size: 8 in the checkpoint, 4 here"),
    ({"data": [arrays()]}, r"data: 'Loader' in the checkpoint, 'list' here"),
    ({"shift": 2}, r"RandomShift\(max_shift=\[1, 1\].*RandomShift\(max_shift=\[2, 2\]"),
    ({"optimizer": tc.optim.SGD}, r"optimizer: Adam in the checkpoint, SGD here"),
    ({"clip_norm": 1.0}, r"clip_norm: None in the checkpoint, 1.0 here"),
    ({"loss": tc.functional.multi_margin_loss}, r"loss: cross_entropy in .*, multi_margin_loss"),
    ({"schedule_every": "epoch"}, "schedule_every: 'batch' in the checkpoint, 'epoch' here"),
    ({"compile": True}, "compile: False in the checkpoint, True here"),
    ({"validation": None}, "validation: 'list' in the checkpoint, None here"),
    ({"keep_best": False}, "best weights kept: True in the checkpoint, False here"),
]


@pytest.mark.parametrize(("changes", "match"), CHANGED, ids=[str(*c) for c, _ in CHANGED])
def test_another_run(changes: dict[str, Any], match: str, folder: Path) -> None:
    _refused(folder, match, **changes)


def test_other_examples(folder: Path) -> None:
    x, y = arrays()
    data = arguments()["data"]
    shorter = type(data)((x[:36], y[:36]), 8, shuffle=True, transform=data.transform)
    _refused(folder, "data examples: 38 in the checkpoint, 36 here", data=shorter)


def test_another_architecture_lists_every_difference(folder: Path) -> None:
    message = _refused(folder, "this run differs", model=convnet(channels=5))
    assert "module 0: Conv2d(1, 4, kernel_size=" in message
    assert "parameter 6.weight: float32 (3, 64) in the checkpoint, float32 (3, 80) here" in message
    assert "start another in a new folder" in message


def test_other_settings_of_layers_and_options(folder: Path) -> None:
    model = convnet()
    model[3].p = 0.5
    _refused(folder, "module 3: Dropout.p=0.3. in the checkpoint, Dropout.p=0.5. here", model=model)
    _refused(folder, "float32.* in the checkpoint, float64", model=convnet().double())

    def slower(parameters: Any, lr: float) -> tc.optim.Optimizer:
        return tc.optim.Adam(parameters, lr=lr / 2)

    _refused(folder, "optimizer lr: 0.01 in the checkpoint, 0.005 here", optimizer=slower)


def test_a_damaged_newest_file_gives_way_to_the_one_before(folder: Path) -> None:
    _, expected = trained()
    newest = max(folder.glob("*.ckpt"))
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    before = sorted(folder.glob("*.ckpt"))[-2]
    with pytest.warns(RuntimeWarning, match=f"resumed from .*{before.name}.*\n.*{newest.name}"):
        assert trained(folder)[1] == expected
    assert newest.with_name(f"{newest.name}.damaged").exists()
    assert trained(folder)[1] == expected  # without another warning


def test_all_damaged(folder: Path) -> None:
    paths = sorted(folder.glob("*.ckpt"))
    for path in paths:
        path.write_bytes(b"")
    message = _refused(folder, "nothing to resume from")
    assert all(path.name in message for path in paths)


WRONG: dict[str, list[Any]] = {
    "settings": [None, {}, {"a": 1}],
    "history": [None, {}, [1], [{"epoch": 1}]],
    "batch": [None, -1, "x", 1.5],
    "totals": [None, {}, {"images": "x"}],
    "seconds": [None, "x"],
    "learning_rate": [None, []],
    "model": [None, 3, {}, {"a": np.ones(3)}],
    "buffers": [None, {}, {"1.running_mean": np.ones(3)}],
    "trained": [None, "x", 3],
    "optimizer": [None, {}, {"state": {0: {"step": 1}}, "param_groups": []}],
    "schedule": [None, {}, {"last_epoch": 3}],
    "callbacks": [None, [1]],
    "draws": [None, {}, {"generators": []}, {"generators": [{}, {}], "numpy": {}, "python": ()}],
    "start": [None, {}, {"data": {"seed": -1, "epoch": 0}, "draws": None}],
    "best": [3, {}, {"a": np.ones(3)}],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_whole_file_with_a_wrong_content_changes_nothing(name: str, folder: Path) -> None:
    newest = max(folder.glob("*.ckpt"))
    state = _archive.read(newest)
    del_one = [{key: value for key, value in state.items() if key != name}]
    for wrong in del_one + [{**state, name: value} for value in WRONG[name]]:
        with open(newest, "wb") as file:
            _archive.Packed(wrong).write(file)
        match = "no checkpoint of a run|can't be loaded|differs|holds no run"
        if name == "model" and wrong is del_one[0]:
            continue  # no checkpoint at all: it gives way to the one before
        _refused(folder, match)


def test_positions_outside_of_a_generator(folder: Path) -> None:
    newest = max(folder.glob("*.ckpt"))
    state = _archive.read(newest)
    state["draws"]["numpy"]["state"]["pos"] = 10**6
    with open(newest, "wb") as file:
        _archive.Packed(state).write(file)
    _refused(folder, "a generator's position is 1000000")


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()

    def wait(history: Any, model: Any) -> None:
        started.set()
        ended.wait(20)

    first = threading.Thread(
        target=lambda: trained(tmp_path, callbacks=[wait], epochs=1), daemon=True
    )
    first.start()
    assert started.wait(20)
    with pytest.raises(ArgumentError, match="another run is writing its checkpoints there"):
        trained(tmp_path)
    ended.set()
    first.join(20)
    trained(tmp_path, epochs=1)


def test_an_earlier_run_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="has checkpoints of an earlier run: pass resume=True"):
        fit(**arguments(), checkpoints=folder)


class _Unsaveable:
    def __call__(self, history: Any, model: Any) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {"model": object()}

    def load_state_dict(self, state: Any) -> None: ...


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"checkpoints": None}, ArgumentError, "resume=True needs the run's folder"),
        ({"checkpoints": 3}, ArgumentError, "folder=3, expected a path"),
        ({"checkpoints": ""}, ArgumentError, "folder='', expected a path"),
        ({"checkpoints": "\0"}, ArgumentError, "checkpoints can't be written to"),
        ({"checkpoints": __file__}, ArgumentError, "checkpoints can't be written to"),
        ({"callbacks": [_Unsaveable()]}, CheckpointError, r"\['callbacks'\]\[0\]\['model'\] is a"),
    ],
)
def test_arguments_are_refused_at_once(
    changes: dict[str, Any], error: Any, match: str, tmp_path: Path
) -> None:
    given = {**arguments(), "checkpoints": tmp_path / "run", "resume": True, **changes}
    before = _snapshot(given)
    with pytest.raises(error, match=match):
        fit(**given)
    for one, other in zip(before, _snapshot(given), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"every": 0}, "every=0"),
        ({"seconds": -1}, "seconds=-1"),
        ({"keep": 0}, "keep=0"),
        ({"keep": 1.5}, "keep=1.5"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        Checkpoints("run", **options)


def test_a_run_goes_on_without_warnings(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(folder)
