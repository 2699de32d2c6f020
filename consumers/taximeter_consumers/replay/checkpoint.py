"""How far a replay is, in a file: what kill -9 leaves is taken up by the same command.

The file holds the spans as they were resolved when the replay began, the next offset of each partition, and what the
destination needs to go on (the size of its file). It is replaced as a whole and only after the destination has made
durable what the offsets say; what was written after that is cut off or sent again, under the same ids.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taximeter_consumers.replay.topic_range import Span
from taximeter_schemas.errors import Misconfigured

EVERY = 20_000
"""Messages between two checkpoints."""


def fingerprint(*parts: object) -> str:
    """Names a command by what it was asked: equal for equal requests."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:24]


@dataclass
class Checkpoint:
    """One replay's. `path` None: nothing is kept, for what cannot be taken up (standard output)."""

    path: Path | None
    asked: str
    spans: list[Span] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    destination: Any = None
    resumed: bool = False

    @classmethod
    def open(cls, path: Path | None, asked: str, spans: Sequence[Span]) -> Checkpoint:
        """What an earlier run of the same request has left, or a beginning with `spans`. Raises Misconfigured for a
        file that cannot be read."""
        fresh = cls(path, asked, list(spans))
        if path is None or not path.exists():
            return fresh
        try:
            kept: Mapping[str, Any] = json.loads(path.read_bytes())
            if kept["asked"] != asked:
                return fresh
            return cls(
                path,
                asked,
                [Span(*span) for span in kept["spans"]],
                {int(partition): offset for partition, offset in kept["next_offsets"].items()},
                dict(kept["counts"]),
                kept["destination"],
                resumed=True,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Misconfigured(
                f"{path}, which says how far the replay was, cannot be read ({type(error).__name__})",
                mend="remove it to begin again; what is replayed twice counts once",
            ) from error

    @property
    def left(self) -> list[Span]:
        """What is still to be read of the spans."""
        starts = ((span, self.next_offsets.get(span.partition, span.first)) for span in self.spans)
        return [Span(span.partition, max(first, span.first), max(span.end, first), 0) for span, first in starts]

    def save(self, counts: Mapping[str, int], destination: Any) -> None:
        """Replaces the file, on disk when this returns. Raises Misconfigured where it cannot be written."""
        if self.path is None:
            return
        content = {
            "asked": self.asked,
            "spans": [[span.partition, span.first, span.end, span.gone] for span in self.spans],
            "next_offsets": self.next_offsets,
            "counts": dict(counts),
            "destination": destination,
        }
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            raise Misconfigured(
                f"{self.path} cannot be written: {error.strerror}", mend="make room, or set TAXIMETER_DATA_DIR"
            ) from error

    def forget(self) -> None:
        """The replay is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
