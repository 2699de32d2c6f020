"""Files as a source: archived messages, or events as `--to-file` writes them, in Avro or Parquet.

An event from a file becomes a message again: the same id, framed in the current version, its place in the file as its
offset. The time of its arrival is lost; the clock of its id stands in for it, which prices of that moment go by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from taximeter_consumers.archive.files import holds_messages, read_part, records
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.archive.reader import in_batches
from taximeter_consumers.replay.topic_range import Found, Span, TopicRange, chosen_partitions, resolve
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent

if TYPE_CHECKING:
    from taximeter_schemas.registry import Registry

_ID_CLOCK_BITS: Final = 80


class EventFiles:
    """Some files in a row; the number of a file is its partition, the place of a record its offset."""

    log = ""

    def __init__(self, paths: Sequence[Path], registry: Registry) -> None:
        self._paths = list(paths)
        self._registry = registry
        self.topic = "+".join(path.name for path in paths[:3]) + ("+..." if len(paths) > 3 else "")
        self.partitions = frozenset(range(len(paths)))
        self._of_messages = [holds_messages(path) for path in paths]
        self._sizes = [sum(1 for _ in records(path)) for path in paths]

    def close(self) -> None:
        """Nothing is held open."""

    def spans(self, wanted: TopicRange) -> list[Span]:
        """The chosen files. Times of arrival are not known of events. Raises Misconfigured where they are asked for."""
        if wanted.since is not None or wanted.until is not None:
            raise Misconfigured(
                "--since and --until are times of arrival, which files alone do not have",
                mend="choose by --occurred-from and --occurred-until, or name the folder with the manifest",
            )
        chosen = chosen_partitions(wanted, self.partitions)
        return [resolve(wanted, number, Found(0, self._sizes[number])) for number in chosen]

    def batches(self, spans: Sequence[Span]) -> Iterator[list[ArchivedMessage]]:
        """The messages of the spans, file by file, some thousands at a time."""
        for span in spans:
            yield from in_batches(islice(self._messages(span.partition), span.first, span.end))

    def read(self, spans: Sequence[Span]) -> Iterator[ArchivedMessage]:
        """The same one by one."""
        for batch in self.batches(spans):
            yield from batch

    def _messages(self, number: int) -> Iterator[ArchivedMessage]:
        path = self._paths[number]
        if self._of_messages[number]:
            for place, message in enumerate(read_part(path, path.name, number)):
                yield ArchivedMessage(
                    path.name,
                    number,
                    place,
                    message.at_ms,
                    message.of_key,
                    message.of_value,
                    message.of_headers,
                )
            return
        header = frame.header(self._registry.current_id())
        for place, record in enumerate(records(path)):
            event = _event(record, path, place)
            at_ms = event.event_id.int >> _ID_CLOCK_BITS
            value = codec.encode(event, header)
            yield ArchivedMessage(path.name, number, place, at_ms, event.run_id.encode(), value)


def _event(record: dict[str, Any], path: Path, place: int) -> MeterEvent:
    try:
        return MeterEvent.model_validate(record)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        raise Misconfigured(
            f"record {place} of {path} is no event: {', '.join(fields)}",
            mend="name files that `taximeter replay --to-file` or `taximeter archive` has written",
        ) from error
