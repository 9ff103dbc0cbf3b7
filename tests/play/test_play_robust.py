"""What a page, a slow network or a strange model must not break."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from play_clients import Client
from play_sessions import PATTERN, board, until

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from benchmarks._measure import traced
from tinygrad_cnn import nn
from tinygrad_cnn.data import DataLoader, Digits
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.playground import Session
from tinygrad_cnn.playground._networks import architecture, from_text


class Linear(nn.Module):
    """Pixels to scores; tests derive models with a fault from it."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(F.flatten(x, 1))


# -- commands ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [{}, [], None, 1, {"lr": 1}])
def test_a_setting_whose_name_is_no_text_is_refused(name):
    with Session() as session, pytest.raises(ArgumentError, match="can't be set here"):
        session.do("set", name=name, value=1)


@pytest.mark.parametrize("name", ["self", "command", "method"])
def test_an_argument_may_have_any_name(name):
    with Session() as session, pytest.raises(ArgumentError, match=f"step: .*{name}"):
        session.do("step", **{name: 1})


def test_an_exit_in_the_users_model_does_not_end_the_server(capsys):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")

    class Leaves(Linear):
        leave = False

        def forward(self, x):
            if self.leave:
                raise SystemExit(3)
            return super().forward(x)

    model = Leaves()
    with tc.play(model, Digits("test"), open_browser=False, block=False) as playground:
        client = Client(playground.url)
        model.leave = True
        assert client.command(command="others") == {"error": "SystemExit: 3"}
        model.leave = False
        assert client.command(command="others") == {}
    assert "SystemExit" in capsys.readouterr().err


def test_weights_that_cannot_be_had_now_are_refused():
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with tc.play(open_browser=False, block=False) as playground:
        client, go = Client(playground.url), threading.Event()
        playground.session._worker.call(go.wait)
        until(playground.session._worker._calls.empty)
        for _ in range(64):
            playground.session.send("pause")
        assert client.ask(name="weights.npz")[0] == 503
        assert "wait already" in client.command(command="step")["error"]
        go.set()


# -- the user's own model ------------------------------------------------------------------


def test_the_model_is_in_the_modes_it_had_and_has_no_gradients():
    pattern = "INPUT -> CONV3-4 -> BN -> RELU -> DROPOUT-0.5 -> FC"
    model = tc.models.from_pattern(pattern, (1, 8, 8), 10)
    next(iter(model.children())).eval()
    modes = [module.training for module in model.modules()]
    with Session(model, Digits("test"), validation=Digits("test")) as session:
        for command in ("step", "train", "pause", "others", "reset", "step"):
            session.do(command)
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


def test_a_model_with_several_outputs_is_trained_without_pictures():
    class Two(Linear):
        def forward(self, x):
            scores = super().forward(x)
            return scores, F.relu(scores)

    def loss(outputs, labels):
        return F.cross_entropy(outputs[0], labels)

    with Session(Two(), Digits("test"), loss=loss) as session:
        session.do("step")
        state, looks = board(session, "state"), board(session, "looks")
    assert (state["error"], state["steps"]) == (None, 1)
    assert (looks["columns"], looks["predictions"]) == ([], None)


class NotInUse(Linear):
    """Fine in training; in use its scores are NaN once ``broken`` is set."""

    broken = False

    def forward(self, x):
        scores = super().forward(x)
        return scores * np.nan if self.broken and not self.training else scores


def test_a_pause_is_told_even_if_the_model_cannot_be_judged(capsys):
    model = NotInUse()
    with Session(model, Digits("train"), validation=Digits("test")) as session:
        session.learner._judge_after = np.inf  # only the pause shall judge
        session.do("train")
        model.broken = True
        session.do("pause")
        state = board(session, "state")
        assert state["running"] is False
        assert "multiply made" in state["error"]["what"]
        assert board(session, "looks")["predictions"][0][0][1] == {"$float": "NaN"}
        session.do("reset")
        assert board(session, "state")["steps"] == 0
        assert "multiply made" in board(session, "state")["error"]["what"]
    assert "NonFiniteError" in capsys.readouterr().err


def test_a_pause_is_told_before_the_model_is_judged():
    with Session(Linear(), Digits("train"), validation=Digits("test")) as session:
        session.learner._judge_after = np.inf
        session.do("train")
        told = []
        judge = session.learner.judge
        session.learner.judge = lambda now: (
            told.append(board(session, "state")["running"]),
            judge(now),
        )
        session.do("pause")
        assert told[-1] is False


def test_the_traceback_of_an_error_is_its_own(capsys):
    """It does not tell that the queue of commands was empty."""

    class Breaks(Linear):
        def forward(self, x):
            if self.training:
                raise KeyError("lost")
            return super().forward(x)

    with Session(Breaks(), Digits("test")) as session:
        session.do("train")
        until(lambda: board(session, "state")["error"])
    told = capsys.readouterr().err
    assert "KeyError: 'lost'" in told
    assert "queue" not in told


@pytest.mark.parametrize("network", ["pattern", "digits"])
def test_the_code_that_is_shown_gives_the_same_weights(network):
    with Session() as session:
        session.do("build", data="digits", network=network, pattern=PATTERN, seed=7)
        scope = {"tc": tc}
        exec(board(session, "model")["code"], scope)
        first = session.learner.model.state_dict()
    for name, value in scope["model"].state_dict().items():
        np.testing.assert_array_equal(value, first[name])


# -- large and slow networks ---------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["INPUT -> FC", PATTERN, "INPUT -> [CONV3-16 -> BN -> RELU]*3 -> GAP -> FC",
     "INPUT -> CONV3-32 -> CONV3-32-g32 -> POOL -> FC-512 -> RELU -> FC"],
)  # fmt: skip
def test_the_estimate_of_memory_is_a_bound_and_not_a_wild_one(pattern):
    made = from_text(pattern, (3, 16, 16), 10, 32)
    exact = tc.models.training_memory(made.model, (32, 3, 16, 16), "adam").total
    assert 0.95 * exact < made.cost.memory(32) < 2 * exact


def test_the_estimate_of_an_architecture_is_a_bound_too():
    made = architecture("cifar_resnet20", (3, 32, 32), 10, 8)
    exact = tc.models.training_memory(made.model, (8, 3, 32, 32), "adam").total
    assert exact < made.cost.memory(8) < 2 * exact


def test_it_is_judged_in_batches_as_large_as_the_users():
    """Smaller ones would be slow, larger ones might need more memory than there is."""
    seen = []

    class Counts(Linear):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    loader = DataLoader(Digits("test"), 7)
    with Session(Counts(), loader, validation=loader) as session:
        seen.clear()
        session.learner.judge(now=True)
    assert set(seen) == {7, 359 % 7}


@pytest.mark.parametrize("size", [7, 300, 2000])
def test_it_is_judged_by_a_thousand_at_most(size):
    images, labels = Digits("train").batch(slice(None))
    batches = [(images[i : i + size], labels[i : i + size]) for i in range(0, len(labels), size)]
    with Session(Linear(), Digits("test"), validation=batches) as session:
        assert board(session, "state")["judged_by"] == 1000


def test_normalisation_over_more_channels_than_there_are_costs_no_more():
    x = tc.rand(2, 3, 8, 8)
    with traced() as peak:
        found = F.local_response_norm(x, 1_000_000, alpha=1e6)
        taken = peak()
    total = (x.numpy() ** 2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), x.numpy() / (1 + total) ** 0.75, rtol=1e-5)
    assert taken < 2**20


def test_a_label_of_a_class_that_is_not_scored_is_told_on_the_page(capsys):
    with Session(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), Digits("test"),
                 validation=Digits("test")) as session:  # fmt: skip
        assert "class" in json.dumps(board(session, "state")["error"])
        session.do("build", data="digits", network="pattern", pattern=PATTERN)
        assert board(session, "state")["error"] is None
    assert "cross_entropy" in capsys.readouterr().err
