"""Who may speak to the server: the page that it gave out, on this machine, and nobody else."""

from __future__ import annotations

from secrets import compare_digest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    # The page needs its own files and nothing else: no inline script or style, no frame, no form.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",  # the address holds the token
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application in front of another.

    It refuses a Host that is not this server's (a foreign name that was made to resolve to
    loopback would have another), a path that does not begin with the token, and any request but
    GET that does not come from the page itself. Every answer gets headers that tell browsers to
    keep to this.

    Args:
        app: sees paths without the token.
        hosts: what the header Host may say.
        token: the first part of every path.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], token: str) -> None:
        self._app, self._hosts, self._token = app, hosts, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # no WebSockets here

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        status = self._refusal(scope)
        if status:
            await guarded({"type": "http.response.start", "status": status, "headers": []})
            await guarded({"type": "http.response.body", "body": b""})
            return
        _, _, inner = scope["path"][1:].partition("/")
        await self._app({**scope, "path": f"/{inner}", "raw_path": None}, receive, guarded)

    def _refusal(self, scope: Any) -> int:
        """The status of a refusal, or 0."""
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 403
        token, slash, _ = scope["path"][1:].partition("/")
        if not compare_digest(token.encode(), self._token) or not slash:
            return 404
        if scope["method"] in ("GET", "HEAD"):
            return 0
        origins = [value.lower() for name, value in headers if name == b"origin"]
        return 0 if origins == [f"http://{hosts[0]}"] else 403
