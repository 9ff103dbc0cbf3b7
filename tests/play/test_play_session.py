"""The playground without a server: commands, what the board shows, and what is refused."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from play_sessions import PATTERN, blot, board, until

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.data import DataLoader, Digits, Normalize
from tinygrad_cnn.errors import (
    ArgumentError,
    GraphError,
    NonFiniteError,
    PatternError,
    ShapeError,
)
from tinygrad_cnn.playground import Session


@pytest.fixture
def session():
    with Session() as opened:
        opened.do("build", data="digits", network="pattern", pattern=PATTERN)
        yield opened


# -- training ------------------------------------------------------------------------------


def test_it_opens_with_a_network_that_has_not_learned():
    with Session() as session:
        assert board(session, "state")["steps"] == 0
        assert board(session, "model")["classes"] == list("0123456789")
        first = board(session, "curve")
        assert first["training"] == []
        assert first["validation"][0][1] == pytest.approx(np.log(10), abs=0.05)
        assert set(session.board.since(0)[1]) == {
            "setup", "model", "state", "curve", "examples", "looks",
        }  # fmt: skip


def test_training_runs_until_paused(session):
    session.do("train")
    until(lambda: session.learner.steps >= 5)
    session.do("pause")
    steps = session.learner.steps
    assert board(session, "state")["running"] is False
    assert board(session, "state")["steps"] == steps
    session.do("set", name="lr", value=0.1)  # gives it time for a batch that must not come
    assert session.learner.steps == steps


def test_a_step_is_one_batch(session):
    for expected in (1, 2):
        session.do("step")
        assert board(session, "state")["steps"] == expected
        assert len(board(session, "curve")["training"]) == expected
    layers = board(session, "looks")["layers"]
    assert [row[0] for row in layers] == ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias"]


def test_a_session_does_what_a_loop_does(session):
    """The same weights as plain training code gives: looking at the network changes nothing."""
    pattern = "INPUT -> CONV3-8 -> BN -> RELU -> POOL -> DROPOUT-0.5 -> FC"
    session.do("build", data="digits", network="pattern", pattern=pattern)
    for _ in range(3):
        session.do("step")
        session.do("choose", image=1)
        session.do("draw", ink=blot())
    learn = Digits("train")
    tc.manual_seed(0)
    model = tc.models.from_pattern(pattern, (1, 8, 8), 10)
    adam = optim.Adam(model.parameters(), lr=0.002)
    normalize = Normalize(learn.mean, learn.std)
    loader = DataLoader(learn, 32, shuffle=True, transform=normalize, seed=0)
    tc.manual_seed(0)  # of dropout, as a reset has it
    for _, (x, y) in zip(range(3), loader, strict=False):
        adam.zero_grad()
        F.cross_entropy(model(x), y).backward()
        adam.step()
    trained = session.learner.model.state_dict()
    for name, expected in model.state_dict().items():
        np.testing.assert_array_equal(trained[name], expected)


def test_gradient_sizes_are_those_of_the_batch(session):
    model = session.learner.model
    before = model.state_dict()
    x, y = next(iter(session.learner.source.batches(32, 0)))
    F.cross_entropy(model(x), y).backward()
    expected = {n: np.sqrt((p.grad.numpy() ** 2).mean()) for n, p in model.named_parameters()}
    model.zero_grad()
    session.do("step")
    after = model.state_dict()
    for name, weight, gradient, update in board(session, "looks")["layers"]:
        assert gradient == pytest.approx(expected[name], rel=1e-5)
        assert weight == pytest.approx(np.sqrt((before[name] ** 2).mean()), rel=1e-5)
        change = after[name] - before[name]
        assert update == pytest.approx(np.sqrt((change**2).mean()), rel=1e-4)


def test_reset_goes_back_to_the_first_weights_and_repeats_the_run(session):
    first = session.learner.model.state_dict()
    losses = []
    for _ in range(2):
        session.do("step")
        session.do("step")
        losses.append([point[1] for point in board(session, "curve")["training"]])
        session.do("reset")
        for name, value in session.learner.model.state_dict().items():
            np.testing.assert_array_equal(value, first[name])
        assert board(session, "state")["steps"] == 0
    assert losses[0] == losses[1]


def test_dropout_is_repeated_by_a_reset():
    with Session() as session:
        pattern = "INPUT -> CONV3-8 -> RELU -> POOL -> DROPOUT-0.5 -> FC"
        session.do("build", data="digits", network="pattern", pattern=pattern, seed=3)
        losses = []
        for _ in range(2):
            session.do("step")
            losses.append(board(session, "state")["loss"])
            session.do("reset")
        assert losses[0] == losses[1]


def test_epochs_are_counted_and_the_order_changes(session):
    session.do("set", name="batch_size", value=512)
    for _ in range(4):
        session.do("step")
    assert session.learner.epoch == 2
    assert board(session, "state")["settings"]["batch_size"] == 512


def test_weights_are_an_npz_of_the_state_dict(session):
    session.do("step")
    content = session.weights().result()
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        fresh = tc.models.from_pattern(PATTERN, (1, 8, 8), 10)
        fresh.load_state_dict(saved)
    x = tc.rand(2, 1, 8, 8)
    np.testing.assert_array_equal(fresh(x).numpy(), session.learner.model(x).numpy())


def test_training_that_diverges_stops_and_says_why(session, capsys):
    session.do("set", name="optimizer", value="SGD")
    session.do("set", name="lr", value=100)
    session.do("train")
    until(lambda: board(session, "state")["error"])
    assert "loss is" in board(session, "state")["error"]["what"]
    assert NonFiniteError.__name__ in capsys.readouterr().err


# -- settings ------------------------------------------------------------------------------


def test_settings_apply_to_the_next_batch(session):
    session.do("set", name="optimizer", value="SGD")
    session.do("set", name="lr", value=0.5)
    session.do("set", name="momentum", value=0.9)
    assert session.learner.optimizer.param_groups[0]["lr"] == 0.5
    assert board(session, "state")["settings"]["momentum"] == 0.9
    before = session.learner.model.state_dict()["fc1.bias"]
    session.do("set", name="lr", value=1e-8)
    session.do("step")
    np.testing.assert_allclose(session.learner.model.state_dict()["fc1.bias"], before, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -1), ("lr", 0), ("lr", float("nan")), ("lr", float("inf")), ("lr", 10**400),
        ("lr", "0.1"), ("lr", True), ("lr", None), ("lr", [0.1]),
        ("momentum", 0.5), ("weight_decay", 11), ("batch_size", 0), ("batch_size", 1.5),
        ("batch_size", 10**9), ("optimizer", "exec"), ("optimizer", 3), ("optimizer", "yours"),
        ("params", 1), ("__class__", 1),
    ],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(session, name, value):
    before = board(session, "state")["settings"]
    with pytest.raises(ArgumentError):
        session.do("set", name=name, value=value)
    session.do("train")
    session.do("pause")
    assert board(session, "state")["settings"] == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("destroy", {}), ("_build", {}), ("__init__", {}), (None, {}), ("train", {"x": 1}),
        ("build", {}), ("build", {"data": "digits", "network": "pattern", "pattern": 5}),
        ("build", {"data": "/etc/passwd", "network": "digits"}),
        ("build", {"data": "digits", "network": "os"}), ("build", {"data": [], "network": {}}),
        ("build", {"data": "digits", "network": "digits", "seed": -1}),
        ("build", {"data": "digits", "network": "digits", "seed": 2**32}),
        ("build", {"data": "digits", "network": "digits", "seed": "0"}),
        ("choose", {"image": 20}), ("choose", {"image": -1}), ("choose", {"image": "0"}),
        ("choose", {"image": None}), ("draw", {"ink": "?"}), ("draw", {"ink": "AAAA"}),
        ("draw", {"ink": None}),
    ],
)  # fmt: skip
def test_commands_that_mean_nothing_are_refused(session, command, arguments):
    with pytest.raises(ArgumentError):
        session.do(command, **arguments)
    session.do("step")  # and nothing is broken
    assert session.learner.steps == 1


# -- building ------------------------------------------------------------------------------


def test_a_pattern_error_knows_the_place(session):
    kept = session.learner
    with pytest.raises(PatternError) as caught:
        session.do("build", data="digits", network="pattern", pattern="INPUT -> CONF -> FC")
    assert (caught.value.position, caught.value.length) == (9, 4)
    assert session.learner is kept


@pytest.mark.parametrize(
    "pattern",
    [
        "INPUT -> FC-1000000 -> FC",
        "INPUT -> CONV1-1000000 -> GAP -> FC",  # few weights, large volumes
        "INPUT -> [CONV3-512 -> RELU]*80 -> FC",
    ],
)
def test_a_huge_network_is_refused_before_anything_is_allocated(session, monkeypatch, pattern):
    monkeypatch.setattr(nn.Conv2d, "__init__", lambda *_, **__: pytest.fail("built"))
    monkeypatch.setattr(nn.Linear, "__init__", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(ArgumentError, match=r"too large for the playground: [\d,]+ parameters"):
        session.do("build", data="digits", network="pattern", pattern=pattern)


def test_a_batch_too_large_for_the_network_is_refused(session):
    session.do("build", data="digits", network="pattern", pattern="INPUT -> [CONV3-256]*4 -> FC")
    with pytest.raises(ArgumentError, match=r"too large .* a batch of 1024"):
        session.do("set", name="batch_size", value=1024)
    assert session.learner.batch_size == 32


@pytest.mark.parametrize(
    "pattern", ["[" * 1990, "INPUT -> [CONV]*999999999 -> FC", "INPUT" + " -> CONV" * 300, "\0", ""]
)
def test_a_malicious_pattern_is_refused_fast(session, pattern):
    with pytest.raises(ArgumentError):
        session.do("build", data="digits", network="pattern", pattern=pattern)


def test_a_network_that_takes_other_images_is_refused_and_the_old_one_stays(session):
    session.do("step")
    with pytest.raises(ArgumentError, match="28 or 32"):
        session.do("build", data="digits", network="lenet5")
    with pytest.raises(ShapeError, match="224"):
        session.do("build", data="digits", network="alexnet")
    session.do("step")
    assert board(session, "state")["steps"] == 2
    assert board(session, "model")["title"] == "layer pattern"


def test_the_code_that_is_shown_builds_the_network(session):
    scope = {"tc": tc}
    exec(board(session, "model")["code"], scope)
    assert repr(scope["model"]) == repr(session.learner.model)
    session.do("build", data="digits", network="convnetjs")
    exec(board(session, "model")["code"], scope)
    assert repr(scope["model"]) == repr(session.learner.model)


def test_published_data_are_offered_where_their_files_are(shared):
    with Session(root=shared / "data") as session:
        assert list(board(session, "setup")["data"]) == [
            "digits", "mnist", "fashion-mnist", "cifar10",
        ]  # fmt: skip
        session.do("build", data="cifar10", network="pattern", pattern="INPUT -> CONV3-4 -> FC")
        session.do("step")
        assert board(session, "model")["pen"] is None  # nobody draws those
        assert board(session, "looks")["filters"]["tiles"]["scale"] == "colour"
        with pytest.raises(ArgumentError, match="grey"):
            session.do("draw", ink=blot())
    with Session(root=shared / "no such folder") as session:
        assert list(board(session, "setup")["data"]) == ["digits"]


# -- what is looked at ---------------------------------------------------------------------


def test_predictions_are_those_of_the_model(session):
    session.do("step")
    examples = session._view._examples
    scores = session.learner.model(tc.Tensor(examples.inputs))
    shares = F.softmax(scores).numpy()
    for row, shown in zip(shares, board(session, "looks")["predictions"], strict=True):
        assert [int(name) for name, _ in shown] == np.argsort(-row, kind="stable")[:3].tolist()
        np.testing.assert_allclose([share for _, share in shown], np.sort(row)[:-4:-1], rtol=1e-4)


def test_columns_are_the_layers(session):
    columns = board(session, "looks")["columns"]
    assert [(c["heading"], c["shape"]) for c in columns] == [
        ("CONV", [8, 8, 8]), ("RELU", [8, 8, 8]), ("POOL", [8, 4, 4]), ("FC", [10]),
    ]  # fmt: skip
    levels = np.frombuffer(base64.b64decode(columns[1]["tiles"]["levels"]), np.uint8)
    assert levels.min() == 126  # nothing negative behind a ReLU


def test_a_drawing_is_shown_and_stays_while_it_trains(session):
    session.do("draw", ink=blot())
    first = board(session, "looks")
    assert first["chosen"] is None
    assert len(first["drawing"]["best"]) == 10
    session.do("step")
    assert board(session, "looks")["drawing"]["best"] != first["drawing"]["best"]
    session.do("clear")
    assert board(session, "looks")["drawing"] is None
    assert board(session, "looks")["chosen"] == 0


def test_other_examples(session):
    first = board(session, "examples")
    session.do("others")
    assert board(session, "examples") != first
    assert board(session, "examples")["count"] == 20


def test_a_network_without_convolutions_shows_templates():
    with Session() as session:
        session.do("build", data="digits", network="pattern", pattern="INPUT -> FC")
        filters = board(session, "looks")["filters"]
        assert (filters["kind"], filters["count"], filters["shape"]) == ("templates", 10, [1, 8, 8])


# -- the end -------------------------------------------------------------------------------


def test_closing_ends_the_training_and_whoever_waits_is_told(session):
    session.do("train")
    waiting = [session.send("choose", image=0) for _ in range(30)]
    session.close()
    assert all(future.cancelled() or future.done() for future in waiting)
    steps = session.learner.steps
    with pytest.raises(GraphError, match="closed"):
        session.send("train")
    session.close()
    assert session.learner.steps == steps
