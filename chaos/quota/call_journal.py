"""The journal of who asks for quota: each call before it is made, and what the caller was told; each use of a lease.

One JSON object a line, written through to the kernel: it outlives a kill of its process, and nobody here cuts the
machine's power. A call without a line that says how it ended was made by a process that was killed, or hangs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from taximeter_schemas.quota.answers import Answer, answer_of

TIMED_OUT = "timed out"


@dataclass
class Call:
    """One call: what was asked, when, and what came of it. `failure` names an exception that is no time-out."""

    command: str
    hold_id: str
    amount: Decimal
    at: int
    answer: Answer | None = None
    timed_out: bool = False
    failure: str = ""

    @property
    def ended(self) -> bool:
        """Whether the caller was told anything."""
        return self.answer is not None or self.timed_out or bool(self.failure)


@dataclass(frozen=True)
class Use:
    """So much of a lease was used (hold_id empty: of none). `opened`: nobody had answered, and the policy said yes."""

    hold_id: str
    amount: Decimal
    at: int
    opened: bool


@dataclass(frozen=True)
class Called:
    """What a journal says. `counters` are those of a gate when it was closed; None: it was not."""

    name: str
    account: str = ""
    calls: Mapping[int, Call] = field(default_factory=dict)
    uses: tuple[Use, ...] = ()
    counters: Mapping[str, Any] | None = None


class CallJournal:
    """The file, open for appending by one process, from any of its threads."""

    def __init__(self, path: Path, account: str) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._calls = 0
        self._add({"account": account})

    def asks(self, command: str, hold_id: str, amount: Decimal | int) -> int:
        """Somebody is about to call. Returns the call's number."""
        with self._lock:
            self._calls += 1
            number = self._calls
        self._add({"call": number, "asks": [command, hold_id, str(amount), _now()]})
        return number

    def told(self, number: int, answer: Answer) -> None:
        """The call got this answer."""
        self._add({"call": number, "told": answer.encoded().decode()})

    def timed_out(self, number: int) -> None:
        """The call raised QuotaUnavailable."""
        self._add({"call": number, "timed_out": True})

    def failed(self, number: int, error: BaseException) -> None:
        """The call raised something else."""
        self._add({"call": number, "failed": f"{type(error).__name__}: {error}"})

    def used(self, hold_id: str, amount: Decimal | int, *, opened: bool) -> None:
        """The work that a ticket allows is about to be done."""
        self._add({"used": [hold_id, str(amount), _now(), opened]})

    def closed(self, counters: Mapping[str, Any]) -> None:
        """All is over, in order."""
        self._add({"counters": dict(counters)})
        self.close()

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def _add(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, default=str, separators=(",", ":")).encode() + b"\n")


def _now() -> int:
    return time.time_ns() // 1_000


def answered(path: Path) -> int:
    """How many calls and uses stand in a journal by now."""
    if not path.exists():
        return 0
    body = path.read_bytes()
    return body.count(b'"told":') + body.count(b'"timed_out":') + body.count(b'"used":')


def read_calls(path: Path) -> Called:
    """What the journal says so far; a half line at its end is none."""
    body = path.read_bytes() if path.exists() else b""
    account, counters = "", None
    calls: dict[int, Call] = {}
    uses: list[Use] = []
    for line in body[: body.rfind(b"\n") + 1].splitlines():
        said = json.loads(line)
        account = said.get("account", account)
        counters = said.get("counters", counters)
        if "asks" in said:
            command, hold_id, amount, at = said["asks"]
            calls[said["call"]] = Call(command, hold_id, Decimal(amount), at)
        elif "used" in said:
            hold_id, amount, at, opened = said["used"]
            uses.append(Use(hold_id, Decimal(amount), at, opened))
        elif "told" in said:
            calls[said["call"]].answer = answer_of(said["told"].encode())
        elif "call" in said:
            call = calls[said["call"]]
            call.timed_out, call.failure = "timed_out" in said, said.get("failed", "")
    return Called(path.stem, account, calls, tuple(uses), counters)
