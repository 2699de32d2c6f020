"""Encoding alone, in CPU seconds: simulated events by the emitter's encoder and by fastavro, both from plain values.

In batches as the emitter takes them, each several times in a row: there, too, the values were made just before.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import fastavro

from taximeter.emitter.encoder import EventEncoder
from taximeter_schemas import avro_files
from taximeter_schemas.event import MeterEvent

_SCHEMA = avro_files.schema_of(avro_files.CURRENT_VERSION)
_PARSED = avro_files.parsed(avro_files.CURRENT_VERSION)
_RUN = tuple(field["name"] for field in _SCHEMA["fields"])[:10]


class Plain(NamedTuple):
    """An event for both: whole for fastavro; the run's part and the rest, without what has its default, for ours."""

    whole: dict[str, Any]
    run: dict[str, Any]
    own: dict[str, Any]


def plain(events: Iterable[MeterEvent]) -> list[Plain]:
    """The events' values; those of one run share one object, as in a process that executes it."""
    runs: dict[str, dict[str, Any]] = {}
    made = []
    for event in events:
        values = event.model_dump()
        values["event_id"] = str(event.event_id)
        values["occurred_at"] = int(event.occurred_at.timestamp() * 1_000_000)
        own = event.model_dump(exclude_defaults=True)
        given = {name: values[name] for name in own if name not in _RUN} | {
            "event_id": values["event_id"],
            "occurred_at": values["occurred_at"],
        }
        for group in ("ai", "http", "plugin", "code"):
            if group in given:
                given[group] = own[group]
        run = runs.setdefault(event.run_id, {name: values[name] for name in _RUN})
        made.append(Plain(values | run, run, given))
    return made


def ours(events: list[Plain], encoder: EventEncoder) -> float:
    """CPU seconds of this process."""
    prefix, rest = encoder.prefix, encoder.rest
    began = time.process_time()
    for _, run, own in events:
        prefix(run) + rest(own)
    return time.process_time() - began


def fastavros(events: list[Plain]) -> float:
    """The same by fastavro, field for field."""
    writer, parsed = fastavro.schemaless_writer, _PARSED
    began = time.process_time()
    for whole, _, _ in events:
        out = io.BytesIO()
        writer(out, parsed, whole)
        out.getvalue()
    return time.process_time() - began


def check(events: list[Plain], encoder: EventEncoder) -> None:
    """Both write the same bytes. Raises RuntimeError."""
    for event in events:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, _PARSED, event.whole)
        if out.getvalue() != encoder.prefix(event.run) + encoder.rest(event.own):
            raise RuntimeError("the encoder does not write what fastavro writes; its speed means nothing")


def encoder() -> EventEncoder:
    """A fresh one."""
    return EventEncoder(_SCHEMA)
