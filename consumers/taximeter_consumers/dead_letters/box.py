"""The dead-letter topic as letters. It joins no group and commits nothing; what arrives later is not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from taximeter_consumers.dead_letters.choice import once
from taximeter_consumers.dead_letters.letter import Letter, Place, letter_of
from taximeter_consumers.replay.topic_range import Offsets, TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from confluent_kafka import Message

    from taximeter_consumers.dead_letters.choice import Choice
    from taximeter_consumers.replay.topic_range import Span
    from taximeter_schemas.settings import KafkaSettings


class LetterBox:
    """The letters of one topic. Raises Misconfigured when it does not exist, Retryable when nobody answers."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._reader = TopicReader(kafka, topic)
        self.topic = topic

    def close(self) -> None:
        """Lets go of the connections."""
        self._reader.close()

    def spans(self, choice: Choice) -> list[Span]:
        """What must be read for a choice."""
        return self._reader.spans(choice.range())

    def pairs(self, choice: Choice, spans: Sequence[Span]) -> Iterator[tuple[Message, Letter]]:
        """The chosen letters with their messages, copies included, in the order of each partition."""
        for message in self._reader.read(spans):
            letter = letter_of(message)
            if choice.has(letter):
                yield message, letter

    def letters(self, choice: Choice, spans: Sequence[Span]) -> Iterator[Letter]:
        """Each chosen letter once."""
        return once((letter for _, letter in self.pairs(choice, spans)), lambda letter: letter.letter_id)

    def at(self, place: Place) -> Letter:
        """The letter at a place. Raises Misconfigured where there is none."""
        wanted = TopicRange(
            frozenset({place.partition}),
            Offsets(own={place.partition: place.offset}),
            Offsets(own={place.partition: place.offset + 1}),
        )
        for message in self._reader.read(self._reader.spans(wanted)):
            return letter_of(message)
        raise Misconfigured(
            f"there is no dead letter at {place} of {self.topic}",
            mend="`taximeter dlq list` names places that are there; retention deletes the oldest",
        )
