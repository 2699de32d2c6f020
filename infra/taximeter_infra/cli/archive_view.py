"""How archives look: lines for people, objects for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from taximeter_consumers.archive.tiling import gaps

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import Manifest


def archive_as_object(where: str, manifest: Manifest) -> dict[str, Any]:
    """One archived topic for `--json`; offsets are inclusive, times the broker's."""
    return {
        "where": where,
        "topic": manifest.topic,
        "log": manifest.log,
        "files": len(manifest.parts),
        "messages": sum(part.rows for part in manifest.parts),
        "bytes": sum(part.size for part in manifest.parts),
        "partitions": [_partition(manifest, partition) for partition in sorted(manifest.partitions)],
    }


def show_archive(one: dict[str, Any]) -> None:
    """One archived topic for people."""
    typer.echo(
        f"{one['where']}: {one['topic']}, {one['messages']:,} messages in {one['files']:,} files,"
        f" {one['bytes']:,} bytes"
    )
    for part in one["partitions"]:
        missing = "".join(f", WITHOUT {first} to {last}" for first, last in part["gaps"])
        typer.echo(
            f"  partition {part['partition']}: offsets {part['first']} to {part['last']},"
            f" {part['messages']:,} messages, {part['first_at'][:19]} to {part['last_at'][:19]} UTC{missing}"
        )


def _partition(manifest: Manifest, partition: int) -> dict[str, Any]:
    parts = manifest.of_partition(partition)
    return {
        "partition": partition,
        "first": parts[0].first,
        "last": max(part.last for part in parts),
        "messages": sum(part.rows for part in parts),
        "files": len(parts),
        "first_at": _moment(min(part.first_ms for part in parts)),
        "last_at": _moment(max(part.last_ms for part in parts)),
        "gaps": [list(gap) for gap in gaps(parts)],
    }


def _moment(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds")
