"""Server-sent events out of bytes, and when to connect again. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from pydantic import ValidationError

from taximeter.client.answers.live import (
    Freshness,
    OtherEvent,
    QuotaChanged,
    StreamEvent,
    Totals,
    Trouble,
    UsageChanged,
)
from taximeter.client.call import Call
from taximeter.client.conversation import Lost, Patience
from taximeter.client.problems import ApiProblem, LimitReached, Unavailable, unreachable

_KNOWN: dict[str, type[UsageChanged | QuotaChanged | Totals | Freshness | Trouble]] = {
    "usage": UsageChanged,
    "quota": QuotaChanged,
    "totals": Totals,
    "freshness": Freshness,
    "trouble": Trouble,
}
# Only these end a line; a JSON text may have other characters that Python takes for line ends.
_END = re.compile(rb"\r\n|\n|\r(?!$)")
_LONGEST = 2**20


@dataclass
class Following:
    """A stream over all its connections. What was told before a connection broke is told again after it."""

    call: Call[None]
    patience: Patience
    random: Random = field(default_factory=Random)
    retry_seconds: float = 2.0
    last_id: str = ""
    failures: int = 0
    has_spoken: bool = False
    _rest: bytes = b""
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def request(self) -> Call[None]:
        """The next connection's."""
        self._rest, self._name, self._data = b"", "", []
        more = {"Last-Event-ID": self.last_id} if self.last_id else {}
        return replace(self.call, headers={"Accept": "text/event-stream", "Cache-Control": "no-store", **more})

    def events(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events that are whole with this chunk. Raises Unavailable for what is no such stream."""
        lines = _END.split(self._rest + chunk)
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            raise Unavailable(200, {"detail": "the answer is no stream of the API's; look for a proxy before it"})
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                self.failures, self.has_spoken = 0, True
                yield event

    def wait(self, ended: ApiProblem | Lost | None) -> float:
        """Seconds until the next connection, after this one ended. Raises the problem where none is of use."""
        problem = unreachable(ended.why) if isinstance(ended, Lost) else ended
        lasts = isinstance(problem, Unavailable) or (isinstance(problem, LimitReached) and problem.status == 429)
        if problem is not None and (not lasts or (not self.has_spoken and self.failures >= self.patience.retries)):
            raise problem
        grown: float = min(self.retry_seconds * 2**self.failures, max(self.retry_seconds, self.patience.longest_wait))
        self.failures = min(self.failures + 1, 16)
        asked = problem.retry_after if problem is not None else None
        return max(grown * (0.5 + self.random.random() / 2), asked or 0.0)

    def _line(self, line: str) -> StreamEvent | None:
        if not line:
            name, data = self._name or "message", "\n".join(self._data)
            self._name, self._data = "", []
            return event_of(name, data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and value.isascii() and value.isprintable():
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 7:
            self.retry_seconds = int(value) / 1_000
        return None


def event_of(name: str, data: str) -> StreamEvent:
    """One event, as its model where it is known. Raises Unavailable for data that are no JSON."""
    try:
        found = json.loads(data)
    except ValueError:
        raise Unavailable(
            200, {"detail": "an event of the stream is no JSON; look for a proxy before the API"}
        ) from None
    known = _KNOWN.get(name)
    if known is not None:
        try:
            return known.model_validate_json(data)
        except ValidationError:
            pass
    return OtherEvent(event=name, data=found if isinstance(found, dict) else {"data": found})
