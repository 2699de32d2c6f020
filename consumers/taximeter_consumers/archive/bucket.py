"""An archive in a bucket, by pyarrow's own client for S3, which is loaded only for it.

The URL is `s3://BUCKET/PREFIX`, with `?region=` and `?endpoint_override=` where they cannot be found out. Who may write
is said by the usual variables and files of AWS, never by the URL. A file is made here first and then sent whole; an
upload that breaks off leaves nothing that can be seen, and one that is interrupted goes to its end first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import write_part
from taximeter_consumers.archive.manifest import Manifest
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import ArchivedPart, Format
    from taximeter_consumers.archive.message import ReadMessage

_CHUNK: Final = 2**20


class BucketShelf:
    """A prefix of a bucket. Raises Retryable where it does not answer or does not let this user."""

    def __init__(self, system: Any, base: str) -> None:
        self._system = system
        self._base = base.rstrip("/")
        self.where = f"s3://{self._base}"

    @classmethod
    def of_url(cls, url: str, topic: str) -> BucketShelf:
        """Below a root."""
        system, base = _opened(url)
        return cls(system, f"{base.rstrip('/')}/{topic}")

    def load(self) -> Manifest | None:
        """The manifest, None where there is none."""
        with _told(self.where):
            try:
                with self._system.open_input_stream(f"{self._base}/{manifests.NAME}") as stream:
                    text = stream.read()
            except FileNotFoundError:
                return None
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            raise Misconfigured(
                f"{self.where}/{manifests.NAME} is no manifest of an archive ({error.error_count()} faults)",
                mend="restore it from a copy, or archive the topic again",
            ) from error

    def save(self, manifest: Manifest) -> None:
        """Replaces the manifest, which a bucket does as a whole."""
        self._send(manifests.NAME, manifest.model_dump_json(indent=1).encode())

    def write(self, partition: int, messages: Sequence[ReadMessage], form: Format) -> ArchivedPart:
        """Made in a folder of this machine, then sent."""
        with TemporaryDirectory(prefix="taximeter-archive-") as folder:
            part = write_part(Path(folder), partition, messages, form)
            made = (Path(folder) / part.path).read_bytes()
        self._send(part.path, made)
        return part

    def _send(self, path: str, content: bytes) -> None:
        # pyarrow cannot give an upload up: whatever ends the `with` completes the object with what was written. So all
        # is there before, and it runs in a thread of its own, where neither Ctrl-C nor a handler of signals raises.
        with _told(self.where), ThreadPoolExecutor(1) as sender:
            sender.submit(self._upload, path, content).result()

    def _upload(self, path: str, content: bytes) -> None:
        with self._system.open_output_stream(f"{self._base}/{path}") as stream:
            stream.write(content)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A copy, removed afterwards."""
        with TemporaryDirectory(prefix="taximeter-archive-") as folder:
            copy = Path(folder) / Path(path).name
            with _told(self.where):
                try:
                    with self._system.open_input_stream(f"{self._base}/{path}") as stream, copy.open("wb") as file:
                        shutil.copyfileobj(stream, file, _CHUNK)
                except FileNotFoundError as error:
                    raise Misconfigured(
                        f"{self.where}/{path} is in the manifest and is missing", mend="restore it from a copy"
                    ) from error
            yield copy

    def files(self) -> set[str]:
        """All objects below the prefix but the manifest."""
        with _told(self.where):
            found = _below(self._system, self._base, recursive=True)
        return {path.removeprefix(f"{self._base}/") for path in found} - {manifests.NAME}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A bucket has no locks."""
        yield


def buckets_at(url: str) -> list[BucketShelf]:
    """The archived topic at a URL, or those one level below it."""
    system, base = _opened(url)
    own = BucketShelf(system, base)
    if own.load() is not None:
        return [own]
    selector = _module().FileSelector(base, allow_not_found=True)
    directory = _module().FileType.Directory
    with _told(own.where):
        below = sorted(info.path for info in system.get_file_info(selector) if info.type == directory)
    shelves = [BucketShelf(system, path) for path in below]
    return [shelf for shelf in shelves if shelf.load() is not None]


def _below(system: Any, base: str, *, recursive: bool) -> list[str]:
    selector = _module().FileSelector(base, allow_not_found=True, recursive=recursive)
    return [info.path for info in system.get_file_info(selector) if info.is_file]


def _opened(url: str) -> tuple[Any, str]:
    module = _module()
    if "@" in url:
        raise Misconfigured("the URL of a bucket names who may write", mend="take that out, and set AWS_* instead")
    with _told(url.partition("?")[0]):
        try:
            system, base = module.FileSystem.from_uri(url)
        except ValueError as error:
            raise Misconfigured(f"{url.partition('?')[0]} is no URL of a bucket: {error}", mend=_MEND) from error
    if not base:
        raise Misconfigured("the URL names no bucket", mend=_MEND)
    return system, str(base)


_MEND: Final = "write s3://BUCKET/PREFIX, with ?region=REGION where it cannot be found out"


def _module() -> Any:
    try:
        return import_module("pyarrow.fs")
    except ImportError as error:
        raise Misconfigured(
            "an archive in a bucket needs pyarrow, which is not installed", mend="pip install 'taximeter[archive]'"
        ) from error


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What the client raises is an OSError, whatever it was: a network, a right, a bucket that is not there."""
    try:
        yield
    except OSError as error:
        said = str(error).partition("\n")[0]
        raise Retryable(f"{where} does not do it: {said}; look at the bucket's name, AWS_* and the region") from error
