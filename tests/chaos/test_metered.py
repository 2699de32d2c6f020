"""What real meters sent against what they were told: the check sees each loss, each copy and each altered counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import pytest
from tests.chaos.sound import sound

from chaos.checks.metered import metered_exactly
from chaos.evidence import Evidence
from chaos.joining import with_metered
from chaos.journal import Entry, Written
from chaos.meter_journal import Metered, MeterJournal, read_metered
from chaos.nodes import NodeUse, carried_out, drawn
from chaos.topic_log import Record
from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport

NAME = "metered1"
NODES = {node.number: node for node in islice(drawn(7, NAME), 80)}
TWO_EVENTS = next(number for number, node in NODES.items() if len(node.events()) == 2)


def _evidence() -> Evidence:
    """What a real meter makes of the nodes, with all of it in the log and half of it once in a spool."""
    transport = MemoryTransport()
    meter = Meter(MeterSettings(), transport)
    assert [node.number for node in carried_out(meter, list(NODES.values()))] == list(NODES)
    assert meter.close(30)
    counters = meter.counters()
    log = [Record(0, offset, value, {}) for offset, (_, value) in enumerate(transport.stored)]
    spooled = frozenset(value for _, value in transport.stored[::2])
    told = {**asdict(counters), "spilled": len(spooled), "acknowledged": counters.acknowledged - len(spooled)}
    metered = (Metered(NAME, NODES, spooled=spooled, counters=told),)
    written = with_metered(Written({}, {}), [*log, log[0], Record(0, 9_999, b"\x00none", {})], metered)
    return replace(sound(1), written=written, log=log, metered=metered)


SOUND = _evidence()


def _metered(evidence: Evidence, **changed: object) -> Evidence:
    return replace(evidence, metered=(replace(evidence.metered[0], **changed),))  # type: ignore[arg-type]  # by name


def _killed(evidence: Evidence) -> Evidence:
    return replace(_metered(evidence, counters=None), killed=frozenset({NAME}))


def _entries(evidence: Evidence, change: Callable[[list[Entry]], list[Entry]]) -> Evidence:
    changed = change(evidence.entries)
    return replace(evidence, written=Written({entry.number: entry for entry in changed}, {}))


def _altered(entry: Entry) -> Entry:
    assert entry.event is not None
    return replace(entry, event={**entry.event, "http": {**entry.event["http"], "bytes_in": 1}})


def _without(node: NodeUse) -> Callable[[list[Entry]], list[Entry]]:
    return lambda entries: [one for one in entries if one.event is None or one.event["node_id"] != node.node_id]


PLANTED: dict[str, Callable[[Evidence], Evidence]] = {
    "a lost event": lambda sound: _entries(sound, lambda entries: entries[1:]),
    "a node under two ids": lambda sound: _entries(sound, lambda all_: [*all_, replace(all_[0], number=10_000)]),
    "another counter": lambda sound: _entries(sound, lambda entries: [_altered(entries[0]), *entries[1:]]),
    "a dropped node that is there": lambda sound: replace(_metered(sound, dropped=frozenset({0})), spool_was_full=True),
    "a drop while there was room": lambda sound: _entries(_metered(sound, dropped=frozenset({0})), _without(NODES[0])),
    "a file left in the spool": lambda sound: replace(sound, left_in_spool=("x.spool",)),
    "a meter that was not closed": lambda sound: _metered(sound, counters=None),
    "a counter of the meter's": lambda sound: _metered(sound, counters={**told(sound), "spilled": 0}),
    "an event that nobody counts": lambda sound: _metered(sound, counters={**told(sound), "acknowledged": 0}),
    "a lost event of a spool whose process was killed": lambda sound: _entries(
        _killed(sound), lambda entries: entries[1:]
    ),
    "a copy by a process that was killed": lambda sound: _entries(
        _killed(sound), lambda entries: [*entries, replace(entries[0], number=10_000)]
    ),
}


def told(evidence: Evidence) -> dict[str, object]:
    """The counters at the end."""
    return dict(evidence.metered[0].counters or {})


def test_what_a_meter_was_told_is_found() -> None:
    """Nodes with no, one and two models, failing ones too: each event says what the node used, and no check objects."""
    assert metered_exactly(SOUND) == []
    assert len(SOUND.entries) == sum(len(node.events()) for node in NODES.values())
    assert {len(node.ai) for node in NODES.values()} == {0, 1, 2}


@pytest.mark.parametrize("planted", PLANTED)
def test_every_planted_fault_is_seen(planted: str) -> None:
    """The check turns red."""
    assert metered_exactly(PLANTED[planted](SOUND))


def test_a_killed_process_may_lose_what_it_held_in_memory() -> None:
    """What its spool had not accepted may be missing, also one of two events of a node."""
    killed = _metered(_killed(SOUND), spooled=frozenset())
    assert metered_exactly(_entries(killed, lambda entries: entries[1:])) == []
    assert metered_exactly(_entries(killed, _without(NODES[TWO_EVENTS]))) == []


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nodes, what was dropped and spooled, and the counters; half a line at the end is none."""
    path = tmp_path / f"{NAME}.jsonl"
    journal = MeterJournal(path)
    journal.nodes(NODES.values())
    journal.dropped([3])
    journal.spooled([b"\x00a", b"b"])
    expected = Metered(NAME, NODES, frozenset({3}), frozenset({b"\x00a", b"b"}))
    assert read_metered(path) == expected
    journal.closed({"accepted": 1})
    assert read_metered(path) == replace(expected, counters={"accepted": 1})
    path.write_bytes(path.read_bytes()[:-2])
    assert read_metered(path) == expected
