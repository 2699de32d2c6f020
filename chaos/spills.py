"""Where a secret could have got to: every log, every byte of the topics, every row of the tables, every command line.

Pure where it looks at bytes; the places are read past the product. What was looked at is counted, so that a search of
nothing is not taken for a proof.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from chaos.world import World

_LOGS = ("*.log", "*.log.old", "*.out", "*.err")
_SYSTEM = ("query_log", "part_log", "text_log", "query_thread_log", "errors", "error_log")


@dataclass
class CommandLines:
    """The command lines of all processes of the machine, as they were seen."""

    seen: set[bytes] = field(default_factory=set)

    def look(self) -> bool:
        """Looks once more; true, so that it can stand in a condition."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.seen.add(path.read_bytes())
        return True


def spilled(places: Iterator[tuple[str, bytes]], marks: Sequence[bytes]) -> list[str]:
    """The places that hold any of the marks, each once."""
    return sorted({name for name, content in places if any(mark in content for mark in marks)})


def logs(world: World) -> Iterator[tuple[str, bytes]]:
    """What the run's processes and its servers have written, and the journal."""
    yield from _files("log", (path for path in world.folder.rglob("*") if path.is_file()))
    data_dir = world.addresses.data_dir
    yield from _files("server log", (path for pattern in _LOGS for path in data_dir.glob(f"*/{pattern}")))


def topics(world: World) -> Iterator[tuple[str, bytes]]:
    """The bytes of all topics on the broker's disk: values, keys, headers, and what groups have committed."""
    yield from _files("topic", (world.addresses.data_dir / "kafka" / "data").rglob("*.log"))


def tables(world: World, since: datetime) -> Iterator[tuple[str, bytes]]:
    """Every row of every table of the run, and what the server's own tables say of the time since."""
    ask = world.clickhouse
    for (name,) in ask.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
        yield f"table {name}", repr(ask.rows(f"SELECT * FROM `{name}`")).encode()
    ask.execute("SYSTEM FLUSH LOGS")
    for (name,) in ask.rows("SELECT name FROM system.tables WHERE database = 'system'"):
        if name in _SYSTEM:
            recent = " WHERE event_time >= {since:DateTime}" if name.endswith("_log") else ""
            rows = ask.rows(f"SELECT * FROM system.{name}{recent}", {"since": since})
            yield f"table system.{name}", repr(rows).encode()


def command_lines(seen: CommandLines) -> Iterator[tuple[str, bytes]]:
    """What was seen."""
    for line in seen.seen:
        yield f"command line {line[:60].decode(errors='replace')}", line


def _files(kind: str, paths: Iterator[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield f"{kind} {path.name}", path.read_bytes()
