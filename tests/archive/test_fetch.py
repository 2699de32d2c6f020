"""Archives that are copied into a folder which has one already, and manifests that name what is none of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import write_part
from taximeter_consumers.archive.manifest import ArchivedPart, Manifest, part_path
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.archive.reader import ArchiveReader
from taximeter_consumers.archive.shelf import FolderShelf, shelf_of
from taximeter_consumers.archive.verify import Weight, fetch, verify
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_schemas.errors import Misconfigured


def archived(root: Path, *ranges: tuple[int, int], log: str = "log") -> FolderShelf:
    """An archive of `events` with one file for each range of offsets, inclusive."""
    folder = root / "events"
    made = [[ArchivedMessage("events", 0, at, at, None, b"x") for at in range(a, b + 1)] for a, b in ranges]
    parts = [write_part(folder, 0, messages) for messages in made]
    manifests.save(folder, Manifest(topic="events", log=log).with_parts(parts))
    return FolderShelf(folder)


def fetched(shelf: FolderShelf, root: Path) -> int:
    """How many files were copied."""
    manifest = shelf.load()
    assert manifest is not None
    return fetch(shelf, manifest, root, lambda _: None)


def offsets(root: Path) -> list[int]:
    """What an archive has."""
    reader = ArchiveReader(root / "events")
    return [one.at_offset for one in reader.read(reader.spans(TopicRange()))]


def test_what_the_folder_had_archived_itself_stays_listed(tmp_path: Path) -> None:
    """Files of both are in the manifest, and the log's identity, which one of them did not know. What both have is
    left alone, though the bytes differ; damaged, it is fetched."""
    archived(tmp_path / "here", (5, 9), (10, 14), log="")
    other = archived(tmp_path / "there", (0, 4), (5, 9))
    assert fetched(other, tmp_path / "here") == 1
    next((tmp_path / "here").rglob("part-0-5-9.avro")).write_bytes(b"x")
    assert fetched(other, tmp_path / "here") == 1
    assert fetched(other, tmp_path / "here") == 0
    assert offsets(tmp_path / "here") == list(range(15))
    assert manifests.load(tmp_path / "here" / "events").log == "log"


def test_another_log_and_another_topic_are_left_alone(tmp_path: Path) -> None:
    """Refused before anything is copied."""
    archived(tmp_path / "here", (5, 9), log="older")
    other = archived(tmp_path / "there", (0, 4))
    with pytest.raises(Misconfigured, match="another log of the name"):
        fetched(other, tmp_path / "here")
    manifests.save(tmp_path / "here" / "events", Manifest(topic="others"))
    with pytest.raises(Misconfigured, match="the archive of others"):
        fetched(other, tmp_path / "here")
    assert len(list((tmp_path / "here").rglob("*.avro"))) == 1


def test_a_damaged_file_replaces_nothing(tmp_path: Path) -> None:
    """What lies under its name in the folder stays as it is."""
    shelf = archived(tmp_path / "there", (0, 4))
    fetched(shelf, tmp_path / "here")
    (path,) = (tmp_path / "here").rglob("*.avro")
    (source,) = (tmp_path / "there").rglob("*.avro")
    path.write_bytes(b"of the folder")
    source.write_bytes(b"x")
    with pytest.raises(Misconfigured, match="not what was archived"):
        fetched(shelf, tmp_path / "here")
    assert [(one, one.read_bytes()) for one in path.parent.iterdir()] == [(path, b"of the folder")]


@pytest.mark.parametrize("topic", ["", ".", "..", "../up", "/etc", "a/b", "a\\b", "a\n", "a" * 250])
def test_a_topic_is_one_folder(tmp_path: Path, topic: str) -> None:
    """A manifest cannot lead out of the folder that it is fetched into, nor a command out of its root."""
    with pytest.raises(ValidationError, match="no topic's name"):
        Manifest(topic=topic)
    with pytest.raises(Misconfigured, match="no topic's name"):
        shelf_of(str(tmp_path), topic)


@pytest.mark.parametrize("topic", ["a", "metering.events.dlq", "_x-1", "...", "a" * 249])
def test_what_kafka_calls_a_topic_is_one(topic: str) -> None:
    """Up to the longest."""
    assert Manifest(topic=topic).topic == topic


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../part-0-0-1.avro",
        "dt=2026-11-23/hour=07/../../../part-0-0-1.avro",
        "dt=2026-11-23/hour=07/part-0-0-1.avro\n",
        "x/dt=2026-11-23/hour=07/part-0-0-1.avro",
        "dt=2026-11-23/hour=07/part-0-0-1.txt",
        "manifest.json",
    ],
)
def test_a_file_lies_where_the_layout_has_it(path: str) -> None:
    """Any other path in a manifest is refused; those that are written are not."""
    known = {"partition": 0, "first": 0, "last": 1, "rows": 1, "size": 1, "first_ms": 0, "last_ms": 0}
    with pytest.raises(ValidationError, match="path"):
        ArchivedPart.model_validate({**known, "path": path, "sha256": "0" * 64})
    written = part_path(12, 0, 10**15, 1_700_000_000_000, "parquet")
    assert ArchivedPart.model_validate({**known, "path": written, "sha256": "0" * 64}).path == written


def test_a_manifest_without_files_does_not_hold(tmp_path: Path) -> None:
    """None is written before there is a file, so its list was lost."""
    assert [fault.weight for fault in verify(FolderShelf(tmp_path), Manifest(topic="events"))] == [Weight.DAMAGE]
