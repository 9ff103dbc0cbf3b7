"""The stream of events: what a reader is told, and what it is not told again."""

from __future__ import annotations

import json

import pytest
from play_clients import Events
from play_sessions import until

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")


def test_two_readers_are_told_all_at_first_and_then_what_changes(client):
    parts = ["setup", "model", "examples", "curve", "looks", "state"]
    client.command(command="build", data="digits", network="digits")
    first, second = Events(client), Events(client)
    for events in (first, second):
        assert [events.next()[0] for _ in parts] == parts
    client.command(command="set", name="lr", value=0.125)
    for events in (first, second):
        assert events.next()[1]["settings"]["lr"] == 0.125
    first.close()
    client.command(command="step")
    assert second.until("state")["steps"] == 1
    second.close()
    again = Events(client)  # who comes back has missed nothing
    assert again.until("curve")["training"][-1][0] == 1
    again.close()


def test_looks_are_not_made_for_nobody(client, playground):
    board = playground.session.board
    client.command(command="build", data="digits", network="digits")
    events = Events(client)
    events.until("state")
    assert board.readers == 1
    client.command(command="train")
    while events.until("state")["steps"] < 3:
        pass
    events.close()
    while board.readers:
        client.command(command="set", name="lr", value=0.001)
    version, _ = board.since(0)
    steps = playground.session.learner.steps
    while playground.session.learner.steps < steps + 30:
        pass
    assert set(board.since(version)[1]) <= {"looks", "curve", "state"}
    seen = json.loads(board.since(0)[1]["state"])["steps"]
    assert seen <= steps + 1
    client.command(command="pause")


def test_who_comes_back_is_told_only_what_is_new(client, playground):
    """Else the page would forget what was typed and drawn whenever its stream breaks."""
    events = Events(client)
    while not events.id:  # the last of those that come together has it
        events.next()
    events.close()
    client.command(command="set", name="lr", value=0.25)
    back = Events(client, last_id=events.id)
    name, value = back.next()
    assert (name, value["settings"]["lr"]) == ("state", 0.25)
    back.close()


@pytest.mark.parametrize("last_id", ["", "-1", "x", "1" * 5000, "1e3", "\xb2"])
def test_an_id_that_is_none_is_the_first(client, last_id):
    events = Events(client, last_id=last_id)
    assert events.next()[0] == "setup"
    events.close()


def test_of_many_streams_the_latest_three_stay(client, playground):
    """A browser has six connections for all its tabs: commands need some of them."""
    streams = [Events(client) for _ in range(8)]
    until(lambda: playground.session.board.readers == 3)
    for ended in streams[:5]:
        ended.answer.read()
    client.command(command="set", name="lr", value=0.5)
    for live in streams[5:]:
        while live.until("state")["settings"]["lr"] != 0.5:
            pass
    for stream in streams:
        stream.close()
