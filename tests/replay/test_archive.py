"""Archives and files as a source: what was written comes out again, and damage is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import write_part
from taximeter_consumers.archive.manifest import Format, Manifest
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.archive.reader import ArchiveReader
from taximeter_consumers.replay.checkpoint import Checkpoint
from taximeter_consumers.replay.destinations import AvroFile, ParquetFile
from taximeter_consumers.replay.event_filter import EventFilter
from taximeter_consumers.replay.pace import Pace
from taximeter_consumers.replay.replay import Conduct, replay
from taximeter_consumers.replay.source import open_archive
from taximeter_consumers.replay.topic_range import Offsets, Span, TopicRange
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry

MADE = tuple(events(SimulationPlan(300, seed=5)))
_HEADER = frame.header(avro_files.CURRENT_VERSION)
_BEGIN = datetime(2026, 6, 1, 9, 59, tzinfo=UTC)


def messages(partition: int = 0) -> list[ArchivedMessage]:
    """The events as messages, one a second, over the turn of an hour; one of them is undecodable."""
    begin = int(_BEGIN.timestamp() * 1000)
    made = [
        ArchivedMessage(
            "events",
            partition,
            100 + number,
            begin + number * 1000,
            event.run_id.encode(),
            codec.encode(event, _HEADER),
        )
        for number, event in enumerate(MADE)
    ]
    return [*made, ArchivedMessage("events", partition, 400, begin + 300_000, None, None, (("note", b"x"),))]


def archived(root: Path, form: Format = "avro", some: Sequence[ArchivedMessage] | None = None) -> Path:
    """An archive of those messages in files of 70, as `taximeter archive` lays it out."""
    every, folder = some or messages(), root / "events"
    parts = [write_part(folder, 0, every[begin : begin + 70], form) for begin in range(0, len(every), 70)]
    manifests.save(folder, Manifest(topic="events", log="abc").with_parts(parts))
    return folder


@pytest.mark.parametrize("form", ["avro", "parquet"])
def test_an_archive_reads_like_the_topic(tmp_path: Path, form: Format) -> None:
    """Key, value, headers, offset and time of every message, in order, byte for byte; files lie by day and hour."""
    reader = ArchiveReader(archived(tmp_path, form))
    assert (reader.topic, reader.log, reader.partitions) == ("events", "abc", {0})
    assert list(reader.read(reader.spans(TopicRange()))) == messages()
    assert (tmp_path / "events" / "dt=2026-06-01" / "hour=09" / f"part-0-100-169.{form}").exists()


def test_a_range_of_an_archive_is_that_of_the_topic(tmp_path: Path) -> None:
    """Offsets and times choose as they do in the topic, and what is not in the archive is said to be gone."""
    reader = ArchiveReader(archived(tmp_path))
    spans = reader.spans(TopicRange(first=Offsets(90), end=Offsets(175)))
    assert spans == [Span(0, 100, 175, gone=10)]
    assert [one.at_offset for one in reader.read(spans)] == list(range(100, 175))
    hour = TopicRange(since=_BEGIN.replace(hour=10, minute=0), until=_BEGIN.replace(hour=10, minute=1))
    assert [one.at_offset for one in reader.read(reader.spans(hour))] == list(range(160, 220))


def test_damage_is_told_and_not_replayed(tmp_path: Path) -> None:
    """A file that is not what the manifest says, one that is missing, and a manifest that is none."""
    folder = archived(tmp_path)
    reader = ArchiveReader(folder)
    path = folder / manifests.load(folder).parts[1].path
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(20))
    with pytest.raises(Misconfigured, match="another one than the manifest's"):
        list(reader.read(reader.spans(TopicRange())))
    path.unlink()
    with pytest.raises(Misconfigured, match="restore the file"):
        list(reader.read(reader.spans(TopicRange())))
    (folder / manifests.NAME).write_text("{}")
    with pytest.raises(Misconfigured, match="no manifest"):
        ArchiveReader(folder)


def test_the_root_of_one_topic_is_as_good_as_its_folder(tmp_path: Path) -> None:
    """With several topics below it, one has to be named."""
    archived(tmp_path)
    opened = open_archive([tmp_path], PackagedRegistry())
    assert isinstance(opened, ArchiveReader)
    manifests.save(tmp_path / "others", Manifest(topic="others"))
    with pytest.raises(Misconfigured, match="several archived topics"):
        open_archive([tmp_path], PackagedRegistry())


@pytest.mark.parametrize("kind", ["events.avro", "events.parquet"])
def test_a_file_of_events_is_a_source(tmp_path: Path, kind: str) -> None:
    """What `--to-file` has written comes back as the same events, whatever the format; a filter works on it."""
    path = tmp_path / kind
    destination = (AvroFile if kind.endswith("avro") else ParquetFile)(path)
    replay(iter(messages()), PackagedRegistry(), EventFilter(), destination)
    assert list(tmp_path.iterdir()) == [path]
    source = open_archive([path], PackagedRegistry())
    read = [codec.decode(one.value(), PackagedRegistry()) for one in source.read(source.spans(TopicRange()))]
    assert read == list(MADE)
    with pytest.raises(Misconfigured, match="--occurred-from"):
        source.spans(TopicRange(since=_BEGIN))


def test_files_of_messages_are_a_source_without_their_manifest(tmp_path: Path) -> None:
    """Files that were picked out of an archive still hold their messages."""
    folder = archived(tmp_path)
    paths = [folder / part.path for part in manifests.load(folder).parts]
    source = open_archive(paths, PackagedRegistry())
    read = list(source.read(source.spans(TopicRange())))
    assert [one.value() for one in read] == [one.of_value for one in messages()]
    with pytest.raises(Misconfigured, match="no Avro file"):
        open_archive([Path(__file__)], PackagedRegistry())


def test_filters_select_by_user_model_and_time() -> None:
    """As a look at each event says."""
    event = next(event for event in MADE if event.ai is not None)
    assert event.ai is not None
    named = f"{event.ai.provider}/{event.ai.model}"
    for wanted, expected in (
        (EventFilter(user_ids=frozenset({event.user_id})), [e for e in MADE if e.user_id == event.user_id]),
        (EventFilter(models=frozenset({event.ai.model})), _of_model(event.ai.model)),
        (EventFilter(models=frozenset({named})), _of_model(event.ai.model)),
        (EventFilter(occurred_from=MADE[9].occurred_at), [e for e in MADE if e.occurred_at >= MADE[9].occurred_at]),
        (EventFilter(occurred_until=MADE[9].occurred_at), [e for e in MADE if e.occurred_at < MADE[9].occurred_at]),
    ):
        assert [one for one in MADE if wanted.selects(one)] == expected
        assert not wanted.selects_all


def _of_model(model: str) -> list[MeterEvent]:
    return [event for event in MADE if event.ai is not None and event.ai.model == model]


@pytest.mark.parametrize("kind", [AvroFile, ParquetFile])
def test_a_replay_into_a_file_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[AvroFile]
) -> None:
    """Killed after a checkpoint, with more written than was noted: the file has every event once."""
    monkeypatch.setattr("taximeter_consumers.replay.checkpoint.EVERY", 50)
    path, state = tmp_path / "events.avro", tmp_path / "state.json"
    spans = [Span(0, 100, 400)]

    def killed() -> list[ArchivedMessage]:
        return messages()[:170]

    first = Checkpoint.open(state, "asked", spans)
    destination = kind(path)
    # As kill -9 leaves it: nothing is finished, nothing abandoned.
    monkeypatch.setattr(destination, "finish", lambda: destination._writer.flush())
    replay(iter(killed()), PackagedRegistry(), EventFilter(), destination, Conduct(checkpoint=_kept(first)))
    destination._file.close()

    again = Checkpoint.open(state, "asked", [Span(0, 0, 9)])
    assert again.resumed
    assert again.left == [Span(0, 250, 400)]
    left = [one for one in messages() if 250 <= one.at_offset < 400]
    outcome = replay(
        iter(left),
        PackagedRegistry(),
        EventFilter(),
        kind(path, again.destination),
        Conduct(checkpoint=again, pace=Pace()),
    )
    assert (outcome.read, outcome.written) == (300, 300)
    assert not state.exists()
    renamed = path.rename(path.with_suffix(".parquet" if kind is ParquetFile else ".avro"))
    source = open_archive([renamed], PackagedRegistry())
    read = [codec.decode(one.value(), PackagedRegistry()) for one in source.read(source.spans(TopicRange()))]
    assert read == list(MADE)


def _kept(checkpoint: Checkpoint) -> Checkpoint:
    checkpoint.forget = lambda: None  # type: ignore[method-assign]  # a process that was killed forgets nothing
    return checkpoint


def test_another_request_begins_anew(tmp_path: Path) -> None:
    """A state of other options is not gone on with; one that cannot be read is told."""
    state = tmp_path / "state.json"
    Checkpoint.open(state, "asked", [Span(0, 0, 9)]).save({"read": 3}, None)
    assert not Checkpoint.open(state, "other", [Span(0, 0, 9)]).resumed
    state.write_text("{")
    with pytest.raises(Misconfigured, match="begin again"):
        Checkpoint.open(state, "asked", [])
