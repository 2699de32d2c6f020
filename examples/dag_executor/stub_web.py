"""A web site on loopback for HTTP nodes: answers of a given size, given status, or given slowness.

/json?bytes=N          200 with a JSON document of exactly N bytes (at least 12)
/status/CODE           that status
/status/CODE?times=N   that status for the first N requests with the same x-client-request-id, then 200
/slow?seconds=S        200 after S seconds (with times=N: the first N times, at once after that)
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from examples.dag_executor.loopback import Answer, Loopback


class WebAnswer(Answer):
    """Answers one connection's requests."""

    def do_GET(self) -> None:  # noqa: N802  # the name is what the base class looks for
        self.body()
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        again = "times" in query and not self.server.fails(f"{self.request_key}{self.path}", int(query["times"]))
        if address.path == "/slow" and not again:
            self.server.closing.wait(float(query.get("seconds", "1")))
        if not address.path.startswith("/status/"):
            self.send_body(200, document(int(query.get("bytes", "64"))))
            return
        status = 200 if again else int(address.path.removeprefix("/status/"))
        self.send_json(status, {"status": status})

    do_POST = do_PUT = do_GET  # noqa: N815  # likewise


def document(size: int) -> bytes:
    """A JSON document of exactly `size` bytes."""
    frame = b'{"text": ""}'
    return frame[:-2] + b"a" * max(0, size - len(frame)) + frame[-2:]


class StubWeb(Loopback):
    """The site; `with StubWeb() as web: web.url`."""

    def __init__(self) -> None:
        super().__init__(WebAnswer)
