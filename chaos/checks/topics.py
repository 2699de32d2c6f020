"""What lies in Kafka: the journal's records in the log, and the bad ones, untouched, among the dead letters."""

from __future__ import annotations

from collections import Counter

from chaos.evidence import Evidence
from chaos.former_logs import places_of
from chaos.journal import Entry
from chaos.topic_log import Place, Record


def journal_acknowledged(evidence: Evidence) -> list[str]:
    """Every entry is acknowledged, and the log has its bytes where the broker said."""
    written, log = evidence.written, {record.place: record for record in evidence.log}
    problems = [f"entry {entry.number} was never acknowledged" for entry in written.open]
    for ack in written.acks.values():
        places = places_of((ack.partition, ack.offset), evidence.former_logs)
        value = written.entries[ack.number].value
        if not any(place in log and log[place].value == value for place in places):
            problems.append(f"the log does not have entry {ack.number} at {ack.partition}/{ack.offset}")
    known = {entry.value for entry in evidence.entries}
    problems += [f"{record.place} was never sent" for record in evidence.log if record.value not in known]
    return problems


def dead_letters_equal(evidence: Evidence) -> list[str]:
    """The dead letters are the bad records that were sent: byte for byte, with place and reason."""
    bad = {record.place: record for record in bad_records(evidence)}
    problems: list[str] = []
    found: Counter[Place] = Counter()
    for letter in evidence.letters:
        named = source_of(letter, evidence.topic)
        if named is None:
            problems.append(f"dead letter {letter.place} does not say where it comes from")
            continue
        places = places_of(named, evidence.former_logs)
        place = next((one for one in places if one in bad and bad[one].value == letter.value), named)
        found[place] += 1
        if place not in bad:
            problems.append(f"{place} is among the dead letters and was sound")
        elif bad[place].value != letter.value:
            problems.append(f"the dead letter of {place} has other bytes")
        if not letter.headers.get("taximeter-reason"):
            problems.append(f"the dead letter of {place} has no reason")
    problems += [f"{place} is not among the dead letters" for place in bad if place not in found]
    said = sum(one.dead_lettered for one in evidence.ranges)
    if said != len(found) if not evidence.former_logs else said < len(found):
        problems.append(f"the ledger says {said} dead letters, and {len(found)} are there")
    return problems


def bad_records(evidence: Evidence) -> list[Record]:
    """The records of the log that are no event."""
    sound = {entry.value for entry in evidence.entries if is_event(entry)}
    return [record for record in evidence.log if record.value not in sound]


def is_event(entry: Entry) -> bool:
    """Whether the entry is an event, counted or a copy."""
    return entry.event is not None


def source_of(letter: Record, topic: str) -> Place | None:
    """The place that a dead letter names; None where it names none in this topic."""
    if letter.headers.get("taximeter-source-topic") != topic:
        return None
    try:
        names = ("taximeter-source-partition", "taximeter-source-offset")
        partition, offset = (int(letter.headers.get(name, "")) for name in names)
    except ValueError:
        return None
    return partition, offset
