"""The server of the playground: who is answered, how, and what is refused."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
from play_clients import Client, Events

import tinygrad_cnn as tc
from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.playground import Playground, Session

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")


# -- who is answered -----------------------------------------------------------------------


def test_the_page_and_its_files(client):
    status, headers, page = client.ask()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    names = re.findall(r'(?:src|href)="([\w.]+\.(?:js|css))"', page.decode())
    assert len(names) == 10
    for name in names:
        status, headers, content = client.ask(name=name)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        assert headers["content-type"].startswith(
            "text/" + {"js": "javascript", "css": "css"}[name.rpartition(".")[2]]
        )
        assert content


def test_every_answer_tells_browsers_to_keep_to_the_page(client):
    answers = [client.ask(), client.ask(name="nothing"), client.ask(path="/")]
    answers.append(client.ask("POST", "command", body=b"{}"))
    for _, headers, _ in answers:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_the_page_has_nothing_inline(client):
    _, _, page = client.ask()
    assert not re.search(
        r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page.decode()
    )
    assert b"http:" not in page
    assert b"https:" not in page


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "", None,
     "127.0.0.1:{port}.evil.example", "127.0.0.1:{port}@evil.example", "[::1]:{port}"],
)  # fmt: skip
def test_another_host_is_refused(client, host):
    """A name that is made to resolve to loopback has another Host: DNS rebinding."""
    port = client.host.rpartition(":")[2]
    status, _, content = client.ask(headers={"Host": host and host.format(port=port)})
    assert status in (400, 403)  # the server itself refuses what is no request
    assert b"<html" not in content


def test_localhost_is_this_machine_too(client):
    port = client.host.rpartition(":")[2]
    assert client.ask(headers={"Host": f"localhost:{port}"})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/x/",
        "//",
        "{token}",
        "{token}x/",
        "{short}/",
        "/%00/",
        "/%e9/",
        "/%ff/",
        "/../{token}/page.css",
    ],
)
def test_another_token_is_not_found(client, path):
    token = client.path.rstrip("/")
    path = path.format(token=token, short=token[:-1])
    assert client.ask(path=path)[0] == 404


def test_tokens_are_long_and_new_each_time(playground):
    with tc.play(open_browser=False, block=False) as other:
        tokens = {urlsplit(one.url).path for one in (playground, other)}
    assert len(tokens) == 2
    assert min(map(len, tokens)) > 40


@pytest.mark.parametrize(
    "name",
    ["nothing", "page.css/", "../server.py", "..%2fserver.py", "%2e%2e/_app.py", "__init__.py",
     "session.py", "_page/page.css", "/etc/passwd", "command"],
)  # fmt: skip
def test_nothing_else_is_served(client, name):
    status, _, content = client.ask(name=name)
    assert status in (404, 405, 307)
    assert b"import" not in content


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", None, "", "https://{host}", "http://{host}.evil.example"],
)
def test_a_command_from_another_page_is_refused(client, playground, origin):
    steps = playground.session.learner.steps
    headers = {"Origin": origin and origin.format(host=client.host)}
    body = b'{"command": "step"}'
    assert client.ask("POST", "command", headers=headers, body=body)[0] == 403
    assert playground.session.learner.steps == steps


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods_are_refused(client, method):
    assert client.ask(method, "command")[0] in (403, 405)
    assert client.ask(method, "command", headers={"Origin": client.origin})[0] == 405


# -- commands ------------------------------------------------------------------------------


def test_a_command_is_carried_out(client, playground):
    steps = playground.session.learner.steps
    assert client.command(command="step") == {}
    assert playground.session.learner.steps == steps + 1


def test_an_error_is_told_and_of_a_pattern_the_place(client):
    build = {"command": "build", "data": "digits", "network": "pattern"}
    answer = client.command(**build, pattern="INPUT -> CONV -> [POOL")
    assert answer == {"error": "this bracket is never closed", "position": 17, "length": 1}
    assert "expected" in client.command(command="set", name="lr", value=-1)["error"]
    assert "no command" in client.command(command="eval", text="1+1")["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"command": 1}', b'{"command": ["step"]}',
     b'{"command": "set", "name": "lr", "value": NaN}', b"[" * 60000,
     b'{"command": "set", "name": "lr", "value": 1' + b"0" * 5000 + b"}",
     b'{"command": "step", "self": 1}', b'{"command": "send"}', b'{"command": "close"}'],
)  # fmt: skip
def test_what_is_no_command_is_refused(client, body):
    status, _, content = client.ask("POST", "command", body=body)
    assert status == 200
    assert list(json.loads(content)) == ["error"]


def test_another_type_of_content_is_refused(client):
    """What a form of another page could send without asking."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {"Content-Type": kind}
        assert client.ask("POST", "command", headers=headers, body=b'{"command": "step"}')[0] == 415


def test_a_large_body_is_refused(client):
    assert client.ask("POST", "command", body=b" " * 100_000)[0] == 413


def test_a_large_body_of_unknown_length_is_refused(client):
    """In chunks, whose sum nobody announced."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (9000, b" " * 9000) for _ in range(9)) + b"0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked"}
    assert client.ask("POST", "command", headers=headers, body=chunks)[0] == 413


def test_weights_are_downloaded(client, playground):
    status, headers, content = client.ask(name="weights.npz")
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="weights.npz"'
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        assert set(saved) == set(playground.session.learner.model.state_dict())


# -- beginning and end ---------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.0.1", "evil.example", "::", None, 5])
def test_another_host_to_serve_on_is_refused(host):
    with pytest.raises(ArgumentError, match="this machine alone"):
        tc.play(host=host, open_browser=False, block=False)


@pytest.mark.parametrize("port", [-1, 65536, "80", 1.5, True, None])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ArgumentError, match="port"):
        tc.play(port=port, open_browser=False, block=False)


def test_a_port_that_is_taken_is_told():
    threads = threading.active_count()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ArgumentError, match="port=0 takes a free one"):
            tc.play(port=taken.getsockname()[1], open_browser=False, block=False)
    assert threading.active_count() == threads


def test_it_listens_on_loopback_alone(playground):
    [listener] = playground._server.servers[0].sockets
    assert listener.getsockname()[0] == "127.0.0.1"


def test_ip_version_6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with tc.play(host="::1", open_browser=False, block=False) as opened:
        assert opened.url.startswith("http://[::1]:")
        assert Client(opened.url).ask()[0] == 200


def test_closing_ends_streams_and_training_and_can_be_done_twice():
    threads = threading.active_count()
    opened = tc.play(open_browser=False, block=False)
    client = Client(opened.url)
    events = Events(client)
    client.command(command="train")
    opened.close()
    opened.close()
    events.answer.read()  # it comes to its end
    events.close()
    with pytest.raises(ConnectionRefusedError):
        client.ask()
    assert threading.active_count() == threads


def test_the_browser_is_opened_at_the_address(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with tc.play(block=False) as playground:
        assert opened == [playground.url]


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[play\]"):
        tc.play(open_browser=False, block=False)


def test_ctrl_c_while_it_closes_is_no_error(monkeypatch, capsys):
    """Of a slow network one waits for the end of a batch, or presses it again."""

    def interrupted(playground):
        raise KeyboardInterrupt

    close = Session.close

    def impatient(session):
        close(session)
        raise KeyboardInterrupt

    monkeypatch.setattr(Playground, "wait", interrupted)
    monkeypatch.setattr(Session, "close", impatient)
    tc.play(open_browser=False)
    assert capsys.readouterr().out.endswith("The playground is closed.\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_command_ends_at_ctrl_c():
    command = [sys.executable, "-W", "error", "-m", "tinygrad_cnn", "play", "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert "The playground is at" in run.stdout.readline()
        url = run.stdout.readline().strip()
        client = Client(url)
        events = Events(client)  # an open page does not hold it up
        client.command(command="train")
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    events.close()
    assert "closed" in out
    assert (run.returncode, err) == (0, "")
