"""The dead letters of a log, by the coordinates of the records that they are copies of.

A dead letter may have been written twice, under the same coordinates; it counts once. A letter whose record was itself
a replayed dead letter carries two sets of headers, of which the last is the sink's.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.audit.offset_set import OffsetSet
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message

    from taximeter_schemas.settings import KafkaSettings

_TOPIC, _PARTITION, _OFFSET = "taximeter-source-topic", "taximeter-source-partition", "taximeter-source-offset"
_NONE = OffsetSet()


@dataclass(frozen=True)
class Letters:
    """`complete` is False where the dead-letter topic has lost its beginning to retention."""

    by_partition: Mapping[int, OffsetSet]
    complete: bool

    def of(self, partition: int) -> OffsetSet:
        """The source offsets of a partition's dead letters."""
        return self.by_partition.get(partition, _NONE)


def read_letters(kafka: KafkaSettings, dead_letters: str, topic: str, on_read: Callable[[int], None]) -> Letters:
    """Reads the whole dead-letter topic. Raises Misconfigured where there is none, Retryable in silence."""
    found: dict[int, OffsetSet] = defaultdict(OffsetSet)
    with closing(TopicReader(kafka, dead_letters)) as reader:
        spans = reader.spans(TopicRange())
        for number, message in enumerate(reader.read(spans), 1):
            source = source_of(message)
            if source is not None and source[0] == topic:
                found[source[1]].add(source[2])
            if number % 1_000 == 0:
                on_read(number)
    return Letters(found, complete=all(span.first == 0 for span in spans))


def source_of(message: Message) -> tuple[str, int, int] | None:
    """Topic, partition and offset of the record that a dead letter is a copy of; None where it does not say."""
    kept = message.headers() or []
    # Later ones win: the sink's own headers stand behind the record's.
    headers = dict(kept.items() if isinstance(kept, dict) else kept)
    try:
        topic, partition, offset = (_text(headers.get(name)) for name in (_TOPIC, _PARTITION, _OFFSET))
        return topic, int(partition), int(offset)
    except ValueError:
        return None


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode("utf-8", "replace")
