"""The playground with the user's own model and data."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from play_sessions import PATTERN, blot, board, until

import tinygrad_cnn.functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.data import ArrayDataset, DataLoader, Digits
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_cnn.playground import Session


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4 * 36, 10)

    def forward(self, x):
        return self.fc(F.flatten(F.relu(self.conv(x)), 1))


def test_the_users_model_is_trained_in_place():
    model = Own()
    before = model.state_dict()
    with Session(model, Digits("train")) as session:
        session.do("step")
        assert session.learner.model is model
        assert board(session, "setup")["networks"]["own"] == "your model (Own)"
        assert board(session, "state")["judged_by"] is None
    assert any((value != before[name]).any() for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "data",
    [
        DataLoader(Digits("test"), 16, shuffle=True, seed=0),
        Digits("test"),
        Digits("test").batch(slice(40)),
        [Digits("test").batch(slice(20)), Digits("test").batch(slice(20, 40))],
    ],
    ids=["loader", "dataset", "arrays", "batches"],
)
def test_data_as_they_come(data):
    with Session(Own(), data, validation=data) as session:
        session.do("step")
        state = board(session, "state")
        assert state["validation"]["accuracy"] is not None
        assert state["judged_by"] >= 40
        session.do("draw", ink=blot())
        assert board(session, "looks")["drawing"]["best"]


def test_the_users_loader_is_left_alone():
    loader = DataLoader(Digits("test"), 16, shuffle=True, seed=0)
    with Session(Own(), loader) as session:
        session.do("set", name="batch_size", value=8)
        session.do("step")
    assert (loader.batch_size, loader.epoch) == (16, 0)


def test_a_build_that_fails_leaves_the_users_model_as_it_is(rng):
    x = rng.random((20, 3, 8, 8)).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    with Session(model, (x, np.arange(20) % 2)) as session:
        session.do("step")
        trained = model.state_dict()
        with pytest.raises(ShapeError):
            session.do("build", data="digits", network="own")
        assert all((value == trained[name]).all() for name, value in model.state_dict().items())
        session.do("build", data="own", network="own")
        assert any((value != trained[name]).any() for name, value in model.state_dict().items())


def test_the_users_optimizer_is_used():
    model = Own()
    sgd = optim.SGD(model.parameters(), lr=0.25)
    with Session(model, Digits("train"), optimizer=sgd) as session:
        assert board(session, "state")["settings"]["optimizer"] == "yours"
        session.do("set", name="lr", value=0.125)
        assert sgd.param_groups[0]["lr"] == 0.125
        session.do("set", name="optimizer", value="Adam")
        session.do("set", name="optimizer", value="yours")
        assert session.learner.optimizer is sgd


def test_features_and_a_regression_have_no_pictures(rng):
    x = rng.random((50, 3)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    model = nn.Linear(3, 1)
    with Session(model, ArrayDataset(x, y), loss=F.mse_loss) as session:
        session.do("step")
        assert board(session, "state")["accuracy"] is None
        looks = board(session, "looks")
        assert (looks["filters"], looks["columns"]) == (None, [])
        assert board(session, "examples")["tiles"] is None
        with pytest.raises(ArgumentError, match="classes"):
            session.do("build", data="own", network="pattern", pattern="INPUT -> FC")


class Breaks(Own):
    def forward(self, x):
        if self.training:
            raise KeyError("no <such> key")
        return super().forward(x)


def test_an_error_in_the_users_model_is_told_and_ends_the_training_alone(capsys):
    with Session(Breaks(), Digits("test")) as session:
        session.do("train")
        until(lambda: board(session, "state")["error"])
        state = board(session, "state")
        assert state["running"] is False
        assert state["error"]["what"] == "KeyError: 'no <such> key'"
        assert "test_play_own_model.py" in state["error"]["where"]
        session.do("build", data="digits", network="pattern", pattern=PATTERN)
        session.do("step")
        assert board(session, "state")["error"] is None
    assert "raise KeyError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"model": Own}, ArgumentError, "nn.Module"),
        ({"model": "lenet5"}, ArgumentError, "nn.Module"),
        ({"data": "mnist"}, ArgumentError, "DataLoader"),
        ({"data": (np.zeros((2, 1, 8, 8)), np.zeros(2, int), 3)}, ArgumentError, "DataLoader"),
        ({"data": (np.zeros((2, 1, 8, 8)), np.zeros(3, int))}, ShapeError, "labels"),
        ({"data": (np.zeros((2, 1, 8, 8), int), np.zeros(2, int))}, DtypeError, "images"),
        ({"validation": Digits("test")}, ArgumentError, "without data"),
        ({"optimizer": 0.1}, ArgumentError, "optimizer"),
        ({"loss": "cross_entropy"}, ArgumentError, "loss"),
        ({"model": Own().requires_grad_(False)}, ArgumentError, "nothing to train"),
        ({"model": Own(), "data": (np.zeros((4, 3)), np.zeros(4, int))}, ShapeError, "conv2d"),
        (
            {"model": Own(), "optimizer": optim.SGD(Own().parameters(), lr=0.1)},
            ArgumentError,
            "updates no parameter",
        ),
    ],
)
def test_what_cannot_be_played_with_is_refused_at_once(arguments, error, says):
    threads = threading.active_count()
    with pytest.raises(error, match=says):
        Session(**arguments)
    assert threading.active_count() == threads
