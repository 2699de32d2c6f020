"""An archive in a bucket, by pyarrow's client against a server that speaks as much of S3 as is needed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.archive.bucket_server import Buckets, serving

from taximeter_consumers.archive.bucket import BucketShelf
from taximeter_consumers.archive.manifest import Manifest
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.archive.reader import ArchiveReader
from taximeter_consumers.archive.shelf import shelf_of, shelves_at
from taximeter_consumers.archive.tiling import Limits
from taximeter_consumers.archive.verify import fetch, verify
from taximeter_consumers.archive.writer import Job, admitted, archive, lacking
from taximeter_consumers.replay.topic_range import Span, TopicRange
from taximeter_schemas.errors import Misconfigured, Retryable

MESSAGES = [
    ArchivedMessage("events", 0, at, 1_000 * at, b"key", b"value %d" % at, (("origin", b"test"), ("no", None)))
    for at in range(5, 305)
]


class Log:
    """Those messages as a source: one partition, whose first five offsets are deleted."""

    topic, partitions = "events", frozenset({0})

    def spans(self, wanted: TopicRange) -> list[Span]:
        """All there is."""
        return [Span(0, 5, 305)]

    def batches(self, spans: list[Span]) -> Iterator[list[ArchivedMessage]]:
        """In one."""
        yield list(self.read(spans))

    def read(self, spans: list[Span]) -> Iterator[ArchivedMessage]:
        """One by one."""
        return (one for one in MESSAGES for span in spans if span.first <= one.at_offset < span.end)

    def close(self) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def buckets() -> Iterator[Buckets]:
    """The server; what is at AWS is never asked."""
    with pytest.MonkeyPatch.context() as patch, serving() as found:
        for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("EC2_METADATA_DISABLED", "true")):
            patch.setenv(f"AWS_{name}", value)
        yield found


def url(buckets: Buckets, path: str = "billing/taximeter") -> str:
    """Where the bucket is."""
    return f"s3://{path}?endpoint_override=127.0.0.1:{buckets.port}&scheme=http&region=us-east-1"


def test_an_archive_in_a_bucket_is_written_verified_and_fetched(buckets: Buckets, tmp_path: Path) -> None:
    """In two goes, of which the second writes only what is lacking; the copy reads like the topic."""
    shelf, source = shelf_of(url(buckets), "events"), Log()
    for spans, form, files in (([Span(0, 5, 105)], "avro", 2), (source.spans(TopicRange()), "parquet", 4)):
        manifest = admitted(shelf, "events", "log", {0: 305})
        with shelf.locked():
            done = archive(source, shelf, manifest, lacking(manifest, spans), Job(form, Limits(50)))  # type: ignore[arg-type]  # of a loop
        assert done.files == files
    assert sorted(key for key in buckets.objects if "part-0-5-54.avro" in key or "manifest" in key) == [
        "billing/taximeter/events/dt=1970-01-01/hour=00/part-0-5-54.avro",
        "billing/taximeter/events/manifest.json",
    ]
    for where in ("billing/taximeter", "billing/taximeter/events"):
        (found,) = shelves_at(url(buckets, where))
        listed = found.load()
        assert listed is not None
        assert list(verify(found, listed, deep=True)) == []
    assert fetch(found, listed, tmp_path, lambda _: None) == 6
    assert fetch(found, listed, tmp_path, lambda _: None) == 0
    reader = ArchiveReader(tmp_path / "events")
    assert list(reader.read(reader.spans(TopicRange()))) == MESSAGES
    with pytest.raises(Misconfigured, match="another log"):
        admitted(shelf, "events", "other", {0: 305})
    with pytest.raises(Misconfigured, match="ends at 300"):
        admitted(shelf, "events", "", {0: 300})
    buckets.objects["billing/taximeter/events/dt=1970-01-01/hour=00/part-0-5-54.avro"] += b"x"
    assert [fault.weight for fault in verify(found, listed)] == ["damage"]
    with pytest.raises(Misconfigured, match="not what was archived"):
        fetch(found, listed, tmp_path / "again", lambda _: None)
    del buckets.objects["billing/taximeter/events/dt=1970-01-01/hour=00/part-0-5-54.avro"]
    assert [fault.text.split()[-1] for fault in verify(found, listed)] == ["missing"]


def test_what_is_wrong_with_a_bucket_is_told(buckets: Buckets) -> None:
    """No archive in it, a manifest that is none, nobody there, a password in the URL, which is not shown."""
    with pytest.raises(Misconfigured, match="holds no archive"):
        shelves_at(url(buckets, "empty/prefix"))
    buckets.objects["broken/manifest.json"] = b"{}"
    with pytest.raises(Misconfigured, match="no manifest"):
        shelves_at(url(buckets, "broken"))
    with pytest.raises(Retryable, match="look at the bucket's name"):
        shelf_of(url(Buckets()), "events").save(Manifest(topic="events"))
    with pytest.raises(Misconfigured) as told:
        shelf_of("s3://key:secret@billing/x", "events")
    assert "secret" not in str(told.value)


class CtrlC:
    """pyarrow's client, with Ctrl-C each time when an upload has begun."""

    def __init__(self, shelf: BucketShelf) -> None:
        self._system = shelf._system

    def open_output_stream(self, path: str) -> Any:
        """Opened, and then the signal comes."""
        stream = self._system.open_output_stream(path)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return stream


def test_an_interrupted_upload_is_whole(buckets: Buckets) -> None:
    """Ctrl-C right after it has begun: neither an empty manifest nor a file that is cut short can be seen."""
    shelf = BucketShelf.of_url(url(buckets, "interrupted"), "events")
    cut = BucketShelf(CtrlC(shelf), "interrupted/events")
    manifest = Manifest(topic="events", log="log")
    with pytest.raises(KeyboardInterrupt):
        cut.save(manifest)
    assert shelf.load() == manifest
    with pytest.raises(KeyboardInterrupt):
        cut.write(0, MESSAGES, "avro")
    part = shelf.write(0, MESSAGES, "avro")
    sent = buckets.objects[f"interrupted/events/{part.path}"]
    with pytest.raises(KeyboardInterrupt):
        cut.write(0, MESSAGES, "avro")
    assert len(buckets.objects[f"interrupted/events/{part.path}"]) == len(sent) == part.size


def test_a_manifest_that_leads_elsewhere_is_refused(buckets: Buckets) -> None:
    """Before any of it is fetched."""
    for topic, path in (("../../outside/ev", ""), ("events", "../../outside.avro"), ("events", "/tmp/outside.avro")):
        text = Manifest.model_construct(topic=topic).model_dump_json()
        part = f'{{"path":"{path}","partition":0,"first":0,"last":0,"rows":1,"size":1,"sha256":"{"0" * 64}",'
        listed = f'{part}"first_ms":0,"last_ms":0}}' if path else ""
        buckets.objects["strange/manifest.json"] = text.replace('"parts":[]', f'"parts":[{listed}]').encode()
        with pytest.raises(Misconfigured, match=r"no manifest of an archive \(1 faults\)"):
            shelves_at(url(buckets, "strange"))
