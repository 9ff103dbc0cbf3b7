"""The web application: the page, a stream of what is on the board, and a place for commands."""

from __future__ import annotations

import asyncio
import json
import re
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, GraphError, PatternError, TinygradCnnError
from ._guard import Guard
from ._page import FILES
from .session import Session

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_POLL = 0.05  # seconds; looks come five times a second
_RETRY = 1000  # milliseconds until a page comes back whose stream has ended
_LARGEST_BODY = 64 * 2**10
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def application(
    session: Session, hosts: frozenset[str], token: str, stopping: Callable[[], bool]
) -> Guard:
    """The ASGI application of a session.

    Args:
        session: what the commands go to.
        hosts, token: as for ``Guard``.
        stopping: whether the streams shall end, so that the server can.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    handlers = _Handlers(session, stopping)
    routes = [
        Route("/", handlers.file),
        Route("/events", handlers.events),
        Route("/command", handlers.command, methods=["POST"]),
        Route("/weights.npz", handlers.weights),
        Route("/{name}", handlers.file),
    ]
    return Guard(Starlette(routes=routes), hosts, token)


class _Handlers:
    """What is done at each address."""

    def __init__(self, session: Session, stopping: Callable[[], bool]) -> None:
        self._session, self._stopping = session, stopping

    async def file(self, request: Request) -> Response:
        """The page or one of its files."""
        from starlette.responses import Response

        name = request.path_params.get("name", "index.html")
        content = FILES.get(name)
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]])

    async def events(self, request: Request) -> Response:
        """Server-sent events: each part of the board when it has changed, at first all.

        Their id is the version of the board, which a browser tells when it comes back.
        """
        from starlette.responses import StreamingResponse

        seen = request.headers.get("last-event-id", "")
        version = int(seen) if re.fullmatch("[0-9]{1,18}", seen) else 0
        return StreamingResponse(self._changes(version), media_type="text/event-stream")

    async def _changes(self, version: int) -> AsyncIterator[str]:
        yield f"retry: {_RETRY}\n\n"
        with self._session.board.reading() as may_go_on:
            while may_go_on() and not self._stopping():
                version, parts = self._session.board.since(version)
                events = [f"event: {name}\ndata: {text}\n" for name, text in parts.items()]
                if events:
                    yield "\n".join(events) + f"id: {version}\n\n"
                await asyncio.sleep(_POLL)

    async def command(self, request: Request) -> Response:
        """Carry out ``{"command": name, …}``; the answer is empty, or tells an error.

        An error is an answer like others: with a status of its own the browser would write it to
        the console as well.
        """
        from starlette.responses import JSONResponse

        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "expected application/json"}, 415)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                return JSONResponse({"error": f"more than {_LARGEST_BODY} bytes"}, 413)
        try:
            arguments = _object(bytes(body))
            await self._done(self._session.send(arguments.pop("command"), **arguments))
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # of the user's model, too
            if not isinstance(error, TinygradCnnError):
                traceback.print_exception(error)
            return JSONResponse(_refusal(error))
        return JSONResponse({})

    async def weights(self, request: Request) -> Response:
        """The weights, for the browser to save."""
        from starlette.responses import Response

        try:
            content = await self._done(self._session.weights())
        except GraphError as error:
            return Response(str(error), 503)
        name = {"content-disposition": 'attachment; filename="weights.npz"'}
        return Response(content, media_type="application/octet-stream", headers=name)

    async def _done(self, future: Future[Any]) -> Any:
        """The result of a command, unless the server ends before."""
        waiting = asyncio.wrap_future(future)
        while not waiting.done():
            if self._stopping():
                raise GraphError("the playground is closed")
            await asyncio.wait([waiting], timeout=_POLL)
        return waiting.result()


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a command.

    Raises:
        ArgumentError: it is something else.
    """
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("command"), str):
        raise ArgumentError('expected a JSON object {"command": …}')
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refusal(error: BaseException) -> dict[str, Any]:
    """An error for the page; of a pattern also the place."""
    if isinstance(error, PatternError):
        return {"error": error.message, "position": error.position, "length": error.length}
    own = isinstance(error, TinygradCnnError)
    return {"error": str(error) if own else f"{type(error).__name__}: {error}"}
