"""From an emission to the framed values of its events. State is kept from event to event; for one thread."""

from __future__ import annotations

from taximeter.attribution import Attribution
from taximeter.emission import Emission
from taximeter.emitter.encoder import EventEncoder
from taximeter.emitter.ids import EventIds
from taximeter.emitter.reading import events_of, without_debug, without_secrets
from taximeter.faults import Faults
from taximeter.redact import redact_tags
from taximeter.seen import Seen
from taximeter_schemas import avro_files


class Finishing:
    """Reads, redacts and encodes."""

    def __init__(self, faults: Faults, *, redaction: bool) -> None:
        self._faults = faults
        self._redaction = redaction
        schema = avro_files.schema_of(avro_files.CURRENT_VERSION)
        self._encoder = EventEncoder(schema, _without_secret_tags) if redaction else EventEncoder(schema)
        self._ids = EventIds()
        self._seen = Seen()
        self.shed = 0

    def values_of(self, emission: Emission, header: bytes, *, shed: bool) -> list[bytes]:
        """The Kafka values of an emission's events; with `shed`, without what only helps to find a cause."""
        prefix = header + self._encoder.prefix(emission.attribution)
        micros = emission.occurred_ns // 1_000
        values = []
        for own in events_of(emission, self._faults, self._seen):
            if shed:
                self.shed += without_debug(own)
            own["event_id"] = self._ids.new(emission.occurred_ns)
            own["occurred_at"] = micros
            values.append(prefix + self._encoder.rest(without_secrets(own, redaction=self._redaction)))
        return values


def _without_secret_tags(attribution: Attribution) -> Attribution:
    tags = attribution.get("tags")
    return {**attribution, "tags": redact_tags(tags)} if tags else attribution
