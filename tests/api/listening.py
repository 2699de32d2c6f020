"""The API as a real server in this process, and somebody who listens to its streams."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.server import listen, serve
from taximeter_consumers.api.services import Services

PATIENCE = 60.0


@dataclass
class Live:
    """A server that answers at `url`; `stop` ends it, and `thread` is over when it has ended."""

    url: str
    app: FastAPI
    stop: threading.Event
    thread: threading.Thread


@contextmanager
def live(services: Services) -> Iterator[Live]:
    """A server over some services, which it closes."""
    app, stop, started = create_app(services), threading.Event(), threading.Event()
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=serve, args=(app, listener, stop, started.set))
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield Live(url, app, stop, thread)
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@dataclass
class Heard:
    """What one stream has said: (event, data), in order."""

    status: int
    type: str
    told: list[tuple[str, Any]] = field(default_factory=list)
    is_over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, what: Callable[[Heard], Any]) -> Any:
        """What `what` gives once it gives something; fails where the stream ends before, or patience does."""
        with self.changed:
            found = self.changed.wait_for(lambda: what(self) or self.is_over, PATIENCE)
            answer = what(self)
            assert answer, (found, self.told)
            return answer

    def event(self, name: str, which: Callable[[Any], bool] = lambda data: True) -> Any:
        """The data of the first event of a name for which `which` holds, awaited."""
        return self.wait(lambda heard: [data for event, data in heard.told if event == name and which(data)])[0]

    def last(self, name: str) -> Any:
        """The data of the newest event of a name, so far."""
        with self.changed:
            return [data for event, data in self.told if event == name][-1]

    def take(self, lines: Iterator[str]) -> None:
        """Reads a stream to its end."""
        event = ""
        try:
            for line in lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    with self.changed:
                        self.told.append((event, json.loads(value)))
                        self.changed.notify_all()
        except httpx.HTTPError:
            pass
        finally:
            with self.changed:
                self.is_over = True
                self.changed.notify_all()


@contextmanager
def hearing(url: str, headers: dict[str, str], **parameters: str) -> Iterator[Heard]:
    """Listens to a stream, until the block ends."""
    timeout = httpx.Timeout(PATIENCE)
    with (
        httpx.Client(timeout=timeout, trust_env=False) as client,
        client.stream("GET", url, params=parameters, headers=headers) as answer,
    ):
        heard = Heard(answer.status_code, answer.headers.get("content-type", ""))
        thread = threading.Thread(target=heard.take, args=(answer.iter_lines(),), daemon=True)
        thread.start()
        yield heard
        _hang_up(answer)
        thread.join(PATIENCE)


def _hang_up(answer: httpx.Response) -> None:
    """Breaks the connection under whoever reads it."""
    found = answer.extensions["network_stream"].get_extra_info("socket")
    with suppress(OSError):
        found.shutdown(socket.SHUT_RDWR)
