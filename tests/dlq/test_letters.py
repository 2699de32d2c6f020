"""Letters as values: headers, identities, what can be read of damaged bytes, lines that were corrected."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dlq.conftest import Commands
from tests.sink.records import BAD, HEADER, events, value_of

from taximeter_consumers.archive.files import write_part
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.dead_letters.choice import Choice, State, Summary, once
from taximeter_consumers.dead_letters.files import read_file, refuse_stream, write_file
from taximeter_consumers.dead_letters.letter import NO_REASON, Letter, Place, Source, exported_letter, letter_of
from taximeter_consumers.dead_letters.letter import PLACE as PLACE_HEADER
from taximeter_consumers.dead_letters.lines import from_line, to_line
from taximeter_consumers.dead_letters.mends import MENDS, OTHERWISE, mend_of
from taximeter_consumers.dead_letters.reading import read
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.registry import PackagedRegistry

REGISTRY = PackagedRegistry()
PLACE = Place(1, 7)
EVENT = events(1, seed=3)[0]
AT = datetime(2026, 9, 1, 12, tzinfo=UTC)


def message(value: bytes | None, own: tuple[tuple[str, bytes | None], ...] = (), place: Place = PLACE) -> Any:
    """A message of the dead-letter topic, with the headers that the sink writes behind the record's own."""
    ours = {
        "taximeter-reason": "truncated",
        "taximeter-error": "the body ends before its schema does",
        "taximeter-source-topic": "events",
        "taximeter-source-partition": "3",
        "taximeter-source-offset": "41",
        "taximeter-attempts": "2",
        "taximeter-time": AT.isoformat(),
    }
    headers = (*own, *((name, text.encode()) for name, text in ours.items()))
    return ArchivedMessage("dlq", place.partition, place.offset, int(AT.timestamp() * 1000), b"run-1", value, headers)


def letter(value: bytes | None, reason: str = "negative", place: Place = PLACE) -> Letter:
    """One with this value."""
    return Letter(place, AT, reason, "why", Source("events", 3, 41), b"run-1", value, (("origin", b"test"),))


def test_a_message_is_parted_into_the_record_and_the_word_on_it() -> None:
    """Headers of the record stay, those of the sink become fields."""
    found = letter_of(message(b"x", (("origin", b"test"), ("none", None))))
    assert (found.place, found.at, found.reason, found.attempts) == (Place(1, 7), AT, "truncated", "2")
    assert (found.source, found.key, found.value) == (Source("events", 3, 41), b"run-1", b"x")
    assert found.headers == (("origin", b"test"), ("none", None))


def test_a_record_that_was_a_letter_before_keeps_the_older_headers() -> None:
    """Only the last set is the sink's word on this letter."""
    older = (("taximeter-reason", b"empty"), ("taximeter-source-offset", b"1"))
    found = letter_of(message(b"x", older))
    assert (found.reason, found.source) == ("truncated", Source("events", 3, 41))
    assert found.headers == older


def test_what_no_sink_wrote_has_no_reason_and_no_source() -> None:
    """It is listed all the same, under its own place."""
    found = letter_of(ArchivedMessage("dlq", 0, 5, 0, None, b"x"))
    assert (found.reason, found.source, found.place) == (NO_REASON, None, Place(0, 5))
    assert mend_of(NO_REASON) == OTHERWISE


@pytest.mark.parametrize("millis", [-1, 10**15, 2**63 - 1])
@pytest.mark.parametrize("offset", ["9" * 5_000, "9" * 20, "²", "-1", ""])
def test_nonsense_in_headers_and_times_stops_no_listing(millis: int, offset: str) -> None:
    """Anybody may write to the topic: such a letter is shown without a source, at the nearest time there is."""
    headers = tuple(
        (f"taximeter-source-{name}", text.encode())
        for name, text in {"topic": "events", "partition": "3", "offset": offset}.items()
    )
    found = letter_of(ArchivedMessage("dlq", 1, 7, millis, None, b"x", headers))
    assert found.source is None
    assert found.at.year == (1970 if millis < 0 else 9999)
    assert from_line(json.dumps(to_line(found, REGISTRY)), REGISTRY).letter == found


@pytest.mark.parametrize("junk", [b"junk", b"5:5", b"", None])
def test_a_place_that_a_producer_wrote_is_a_header_of_the_record(tmp_path: Path, junk: bytes | None) -> None:
    """In the topic, through an export and back; whether a sink has written behind it or nobody."""
    headers = (("origin", b"t"), (PLACE_HEADER, junk))
    for one in (message(b"x", headers), ArchivedMessage("dlq", 1, 7, 0, None, b"x", headers)):
        found = letter_of(one)
        assert (found.place, found.headers) == (PLACE, headers)
        assert write_file([(one, found)], REGISTRY, tmp_path / "letters.avro") == 1
        (back,) = read_file(tmp_path / "letters.avro", REGISTRY)
        assert (back.letter.place, back.letter.headers) == (PLACE, headers)
        assert back.letter.letter_id == found.letter_id


def test_a_file_that_is_no_export_is_told_of(tmp_path: Path) -> None:
    """An export has its own place last, and never another thing there."""
    one = ArchivedMessage("dlq", 1, 7, 0, None, b"x", ((PLACE_HEADER, b"junk"),))
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        exported_letter(one)
    with pytest.raises(Misconfigured, match="no dead letter"):
        list(read_file(tmp_path / write_part(tmp_path, 0, [one]).path, REGISTRY))


def test_a_pipe_is_refused_and_a_file_is_not(alone: Commands, tmp_path: Path) -> None:
    """What is sent is read twice: nothing of a pipe would be left. Before any server is asked."""
    pipe, folder, file = (tmp_path / name for name in ("pipe", "folder", "file"))
    os.mkfifo(pipe)
    folder.mkdir()
    file.touch()
    for path in (pipe, folder):
        refused = alone("dlq", "redrive", "--from", path)
        assert (refused.exit_code, "read twice" in refused.stderr, "into a file" in refused.stderr) == (1, True, True)
    for path in (file, tmp_path / "none", file / "below"):
        refuse_stream(path)


def test_copies_have_one_id_and_others_have_others() -> None:
    """The place among the dead letters does not matter; source, key and value do."""
    first = letter(b"x")
    assert letter(b"x", place=Place(0, 99)).letter_id == first.letter_id
    others = [
        letter(None),
        letter(b""),
        replace(first, key=None),
        replace(first, key=b"run-2"),
        replace(first, source=Source("events", 3, 42)),
        replace(first, source=None),
    ]
    assert len({one.letter_id for one in (first, *others)}) == 7
    assert list(once([first, letter(b"x", place=Place(0, 99)), others[0]], lambda one: one.letter_id)) == [
        first,
        others[0],
    ]


@given(st.text(max_size=20))
def test_places_are_read_as_they_are_written(text: str) -> None:
    """And what is no place is refused."""
    try:
        place = Place.parse(text)
    except ValueError:
        return
    assert Place.parse(str(place)) == place


def test_a_choice_is_what_it_says() -> None:
    """By reason, place and time; its range covers its places."""
    one = letter(b"x")
    for choice, expected in (
        (Choice(), True),
        (Choice(frozenset({"negative"}), frozenset({Place(1, 7)}), AT), True),
        (Choice(frozenset({"empty"})), False),
        (Choice(places=frozenset({Place(0, 7)})), False),
        (Choice(until=AT), False),
        (Choice(since=AT.replace(hour=13)), False),
    ):
        assert choice.has(one) is expected
    wanted = Choice(places=frozenset({Place(1, 7), Place(1, 3), Place(2, 0)})).range()
    assert (wanted.partitions, wanted.first.own, wanted.end.own) == ({1, 2}, {1: 3, 2: 0}, {1: 8, 2: 1})


def test_a_summary_counts_letters_and_not_copies() -> None:
    """Open kinds first, each with its example and its times."""
    summary = Summary()
    summary.take(letter(b"x"), State.REDRIVEN)
    for number, value in enumerate((b"a", b"b", b"a")):
        summary.take(letter(value, place=Place(0, number)), State.OPEN)
    groups = summary.sorted()
    assert [(group.kind.state, group.letters, group.copies) for group in groups] == [
        (State.OPEN, 2, 1),
        (State.REDRIVEN, 1, 0),
    ]
    assert (groups[0].example, summary.letters) == (Place(0, 0), 3)


@pytest.mark.parametrize("name", BAD)
def test_as_much_is_read_as_there_is(name: str) -> None:
    """Of every kind of bad record: it is said what is wrong, and what can be read is a part of the event."""
    whole = codec.to_plain(EVENT)
    reading = read(BAD[name][1](value_of(EVENT)), REGISTRY)
    for field, value in (reading.fields or {}).items():
        if field not in ("event_id", "ai", "http", "plugin", "code"):
            assert value == whole.get(field, value if value in ({}, "", 0) else None), field
    if name in ("cut by one byte", "unknown schema"):
        assert (reading.fields or {})["run_id"] == EVENT.run_id
    assert reading.read_as == (2 if name == "unknown schema" else None)
    assert reading.trouble is not None or name == "an id of 1970"
    assert BAD[name][0] in MENDS


def test_a_line_goes_back_as_the_same_bytes() -> None:
    """An export that nobody has touched sends what was there; nothing counts as corrected."""
    for value in (None, b"", b"\xff\x00", value_of(EVENT)):
        one = letter(value)
        back = from_line(json.dumps(to_line(one, REGISTRY)), REGISTRY)
        assert (back.letter, back.value, back.edited) == (one, value, False)
        assert back.letter.letter_id == one.letter_id


def test_a_corrected_event_is_written_anew() -> None:
    """In the current version, with key, headers, place and identity of the letter that it comes from."""
    assert EVENT.ai is None
    broken = EVENT.model_copy(update={"duration_us": -5})
    line = to_line(letter(value_of(broken)), REGISTRY)
    line["event"]["duration_us"] = 5
    back = from_line(json.dumps(line), REGISTRY)
    assert back.edited
    assert back.letter.letter_id == line["letter_id"]
    assert codec.decode(back.value, REGISTRY) == EVENT.model_copy(update={"duration_us": 5})


def test_an_event_can_be_given_to_damaged_bytes() -> None:
    """Where the value is taken out, or could not be read, the event of the line counts."""
    line = to_line(letter(b"\xff", reason="not_framed"), REGISTRY)
    assert line["event"] is None
    line["event"] = codec.to_plain(EVENT)
    assert codec.decode(from_line(json.dumps(line), REGISTRY).value, REGISTRY) == EVENT
    line = to_line(letter(frame.header(4242) + value_of(EVENT)[5:], reason="unknown_schema"), REGISTRY)
    del line["value"]
    assert codec.decode(from_line(json.dumps(line), REGISTRY).value, REGISTRY) == EVENT


def test_an_edited_value_is_sent_as_it_is() -> None:
    """Under the identity of the letter."""
    line = to_line(letter(b"\xff"), REGISTRY)
    line["value"] = "AAAA"
    back = from_line(json.dumps(line), REGISTRY)
    assert (back.value, back.edited, back.letter.letter_id) == (b"\0\0\0", True, line["letter_id"])


def test_an_id_is_kept_unless_it_was_what_was_wrong() -> None:
    """Copies are told by it."""
    other = str(events(2, seed=9)[1].event_id)
    for reason in ("negative", "not_uuid7"):
        line = to_line(letter(value_of(EVENT), reason=reason), REGISTRY)
        line["event"]["event_id"] = other
        if reason == "negative":
            with pytest.raises(Misconfigured, match="counted twice"):
                from_line(json.dumps(line), REGISTRY)
        else:
            assert codec.decode(from_line(json.dumps(line), REGISTRY).value, REGISTRY).event_id.hex == other.replace(
                "-", ""
            )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"letter_id": "x"}, "letter_id"),
        ({"place": "1"}, "PARTITION:OFFSET"),
        ({"value": "!"}, "no line of an export"),
        ({"event": {"event_id": "x"}}, "event_id, occurred_at"),
        ({"event": 5}, "no object"),
    ],
)
def test_a_line_that_makes_no_sense_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """With its number in the file, before anything is sent."""
    path = tmp_path / "letters.jsonl"
    line = to_line(letter(value_of(EVENT)), REGISTRY)
    path.write_text("\n".join(json.dumps(one) for one in (line, {**line, **change})))
    with pytest.raises(Misconfigured, match=f"line 2 of [\\s\\S]*{said}"):
        list(read_file(path, REGISTRY))


@pytest.mark.parametrize("kind", ["letters.jsonl", "letters.avro"])
def test_files_hold_letters(tmp_path: Path, kind: str) -> None:
    """Place, identity, key, value and headers come back, whatever the kind; twice exported is the same."""
    pairs = [(one, letter_of(one)) for one in (message(b"x", (("origin", b"t"),)), message(None, place=Place(2, 9)))]
    assert write_file(pairs, REGISTRY, tmp_path / kind) == 2
    back = [one.letter for one in read_file(tmp_path / kind, REGISTRY)]
    assert [(one.place, one.letter_id, one.value, one.headers) for one in back] == [
        (one.place, one.letter_id, one.value, one.headers) for _, one in pairs
    ]
    assert [path.name for path in tmp_path.iterdir()] == [kind]
    with pytest.raises(Misconfigured, match="cannot be written"):
        write_file([], REGISTRY, tmp_path / "nowhere" / kind)
    with pytest.raises(Misconfigured, match="cannot be read"):
        list(read_file(tmp_path / "nowhere" / kind, REGISTRY))


def test_money_in_a_line_is_exact() -> None:
    """To the last digit."""
    priced = next(event for event in events(40, seed=1) if event.ai and event.ai.reported_cost is not None)
    line = json.loads(json.dumps(to_line(letter(HEADER + codec.encode_body(priced)), REGISTRY)))
    assert priced.ai is not None
    assert Decimal(line["event"]["ai"]["reported_cost"]) == priced.ai.reported_cost
