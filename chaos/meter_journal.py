"""A metered executor's journal: what it is about to meter, and what the SDK has said of it since. All of it fsynced.

A node stands there before the SDK hears of it. What the SDK dropped follows once its counters say so, and what its
spool accepted once `append` returned, byte for byte. The last line has the counters after `close`; a journal without it
is that of a process that was killed, of which only what its spool had accepted is promised.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.nodes import NodeUse


@dataclass(frozen=True)
class Metered:
    """What such a journal says. `dropped` are numbers of nodes, `spooled` Kafka values, `counters` those at the end."""

    name: str
    nodes: Mapping[int, NodeUse] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    spooled: frozenset[bytes] = frozenset()
    counters: Mapping[str, Any] | None = None
    # Numbers of nodes that a gate did not let start.
    refused: frozenset[int] = frozenset()


class MeterJournal:
    """The file, open for appending by one process, from any of its threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._lock = threading.Lock()

    def nodes(self, nodes: Iterable[NodeUse]) -> None:
        """These are about to be metered."""
        self._add([{"node": node.as_json()} for node in nodes])

    def dropped(self, numbers: Sequence[int]) -> None:
        """The SDK took none of these."""
        self._add([{"dropped": list(numbers)}])

    def refused(self, number: int) -> None:
        """The gate said no."""
        self._add([{"refused": [number]}])

    def spooled(self, values: Iterable[bytes]) -> None:
        """The spool has accepted these."""
        self._add([{"spooled": [base64.b64encode(value).decode("ascii") for value in values]}])

    def closed(self, counters: Mapping[str, Any]) -> None:
        """The meter was closed and counted this."""
        self._add([{"counters": dict(counters)}])
        self._file.close()

    def _add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        with self._lock:
            self._file.write(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())


def read_metered(path: Path) -> Metered:
    """What the journal says so far; a half line at its end is none."""
    text = path.read_bytes() if path.exists() else b""
    nodes: dict[int, NodeUse] = {}
    dropped: set[int] = set()
    refused: set[int] = set()
    spooled: set[bytes] = set()
    counters: Mapping[str, Any] | None = None
    for line in text[: text.rfind(b"\n") + 1].splitlines():
        said = json.loads(line)
        if "node" in said:
            node = NodeUse.of_json(said["node"])
            nodes[node.number] = node
        dropped |= set(said.get("dropped", ()))
        refused |= set(said.get("refused", ()))
        spooled |= {base64.b64decode(value) for value in said.get("spooled", ())}
        counters = said.get("counters", counters)
    return Metered(path.stem, nodes, frozenset(dropped), frozenset(spooled), counters, frozenset(refused))
