"""``play``: the session, its server, and the browser."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .. import functional as F
from .. import nn
from .._arguments import is_whole
from ..data._files import Path
from ..errors import ArgumentError, GraphError, MissingExtraError
from ..optim import Optimizer
from ..train.evaluation import Loss
from .session import Session

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Playground", "play"]

_GRACE = 2  # seconds for answers that are on their way when the server ends
_CONNECTIONS = 64


class Playground:
    """A page that is being served, until ``close()`` or the end of a ``with`` block.

    Attributes:
        url: its address, with a token that nobody guesses; it is good on this machine only.
        session: what the page commands.
    """

    def __init__(self, session: Session, host: str, port: int) -> None:
        """Begin to serve; see ``play``."""
        import uvicorn

        from ._app import application

        listener = _listener(host, port)
        port = listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        token = secrets.token_urlsafe()
        self.session = session
        self.url = f"http://{name}:{port}/{token}/"
        shown = "" if port == 80 else f":{port}"  # browsers leave it out
        hosts = frozenset(f"{known}{shown}" for known in (name, "localhost"))
        config = uvicorn.Config(
            application(session, hosts, token, lambda: self._server.should_exit),
            log_level="warning", access_log=False, server_header=False, proxy_headers=False,
            loop="asyncio", http="h11", ws="none", lifespan="off",
            limit_concurrency=_CONNECTIONS, timeout_graceful_shutdown=_GRACE,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="playground server", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise GraphError("the server of the playground did not start")
            time.sleep(0.01)

    def wait(self) -> None:
        """Return when the server has ended, or raise KeyboardInterrupt at Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # without a limit, Windows would not notice Ctrl-C

    def close(self) -> None:
        """End server and session; the model keeps what it has learned. Again does nothing."""
        self._server.should_exit = True
        try:
            self._thread.join()
        finally:  # also if Ctrl-C comes twice
            self.session.close()

    def __enter__(self) -> Playground:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Playground at {self.url}>"


def play(
    model: nn.Module | None = None,
    data: Any = None,
    *,
    validation: Any = None,
    optimizer: Optimizer | None = None,
    loss: Loss = F.cross_entropy,
    classes: Sequence[str] | None = None,
    root: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    open_browser: bool = True,
    block: bool = True,
) -> Playground:
    """Train a model on a page in the browser, and watch it learn.

    The model is trained in place, in a thread of its own; Reset on the page gives it the weights
    back that it had at the call. Other networks can be trained on the data, and it on other data.

    Args:
        model: a model that takes a batch; by default one from a layer pattern.
        data: a ``DataLoader``, a ``Dataset``, a pair of arrays (inputs, targets), or a list of
            batches; by default the bundled digits.
        validation: such data, to judge by.
        optimizer: of the model; by default Adam with lr 0.002.
        loss: ``loss(outputs, targets)``, the mean over the batch.
        classes: their names, where the data have none.
        root: where MNIST and others lie, by default the environment variable
            ``TINYGRAD_CNN_DATA``; the page offers those that are there.
        host: "127.0.0.1" or "::1": the page is for this machine alone.
        port: by default a free one.
        open_browser: whether the page is opened, too; other users of the machine may then find its
            address in the list of processes.
        block: whether to wait until Ctrl-C, and then end it.

    Returns:
        The playground: its ``url``, and ``close()``. Where ``block`` is true it is closed.

    Raises:
        ArgumentError: an argument is something else, or the port is taken.
        DtypeError, ShapeError: the data are none to train on, or do not fit the model.
        MissingExtraError: starlette or uvicorn is not installed.

    >>> import tinygrad_cnn as tc
    >>> with tc.play(tc.models.DigitsNet(), open_browser=False, block=False) as playground:
    ...     playground.url.startswith("http://127.0.0.1:")
    True
    """
    _check(host, port)
    session = Session(
        model, data, validation=validation, optimizer=optimizer, loss=loss, classes=classes,
        root=root,
    )  # fmt: skip
    playground = _served(session, host, port)
    if open_browser:
        webbrowser.open(playground.url)
    if block:
        _wait(playground)
    return playground


def _served(session: Session, host: str, port: int) -> Playground:
    try:
        return Playground(session, host, port)
    except BaseException:
        session.close()
        raise


def _wait(playground: Playground) -> None:
    """Say where it is, and close it at Ctrl-C; another one does not wait for the batch."""
    print(f"The playground is at\n  {playground.url}\nCtrl-C ends it.", flush=True)
    try:
        with playground:
            playground.wait()
    except KeyboardInterrupt:
        print("\nThe playground is closed.", flush=True)


def _check(host: Any, port: Any) -> None:
    """Refuse what can't be served, before anything is started.

    Raises:
        ArgumentError, MissingExtraError: it can't.
    """
    if find_spec("starlette") is None:
        raise MissingExtraError("starlette", "play", "the playground")
    if find_spec("uvicorn") is None:
        raise MissingExtraError("uvicorn", "play", "the playground")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ArgumentError(
            f"play: host={host!r:.60}, expected '127.0.0.1' or '::1': what trains here takes"
            " commands, so that it is served to this machine alone"
        )
    if not is_whole(port, 0) or port > 65535:
        raise ArgumentError(f"play: port={port!r:.60}, expected 0 (a free one) to 65535")


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ArgumentError: it can't.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ArgumentError(
            f"play: {host}, port {port}: {error.strerror}; port=0 takes a free one"
        ) from None
    return listener
