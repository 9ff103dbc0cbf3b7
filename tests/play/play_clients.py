"""How tests speak to the server of a playground: by requests and streams of events."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit


class Client:
    """Requests to a playground, as its own page would send them unless told otherwise."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.host, self.path = parts.netloc, parts.path
        self.origin = f"http://{self.host}"

    def ask(self, method="GET", name="", *, path=None, headers=None, body=None):
        """Status, headers and content of the answer."""
        given = {"Host": self.host}
        if method == "POST":
            given |= {"Origin": self.origin, "Content-Type": "application/json"}
        given |= headers or {}
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest(
                method, self.path + name if path is None else path,
                skip_host=True, skip_accept_encoding=True,
            )  # fmt: skip
            if body is not None and "Transfer-Encoding" not in given:
                given["Content-Length"] = str(len(body))
            for header, value in given.items():
                if value is not None:
                    connection.putheader(header, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def command(self, **arguments):
        status, _, content = self.ask("POST", "command", body=json.dumps(arguments).encode())
        assert status == 200
        return json.loads(content)


class Events:
    """A stream of events, read as a browser reads it."""

    def __init__(self, client, last_id=None):
        self.id = ""
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        self.connection = http.client.HTTPConnection(client.host, timeout=30)
        self.connection.request("GET", client.path + "events", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.headers["content-type"].startswith("text/event-stream")

    def next(self):
        """Name and value of the next event."""
        fields = {}
        while "data" not in fields:  # the first block has none
            for line in iter(self.answer.readline, b"\n"):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                fields[name] = value
        self.id = fields.get("id", self.id)
        return fields["event"], json.loads(fields["data"])

    def until(self, part):
        while True:
            name, value = self.next()
            if name == part:
                return value

    def close(self):
        self.answer.close()
        self.connection.close()
