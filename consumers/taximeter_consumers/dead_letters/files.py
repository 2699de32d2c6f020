"""Letters in files: JSON lines to correct, or an Avro container with the messages as they were.

A file has its name only when it is complete. Memory holds a letter at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, TextIO

import fastavro

from taximeter_consumers.archive.files import read_part
from taximeter_consumers.archive.message import SCHEMA, to_record
from taximeter_consumers.dead_letters.letter import PLACE, Letter, exported_letter
from taximeter_consumers.dead_letters.lines import Outgoing, as_is, from_line, to_line
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_schemas.registry import Registry

Pair = tuple["ReadMessage", Letter]
"""A letter, and the message that it was read from."""


def write_lines(letters: Iterable[Letter], registry: Registry, out: TextIO) -> int:
    """JSON lines onto an open file; the number of letters."""
    written = 0
    for letter in letters:
        out.write(json.dumps(to_line(letter, registry), ensure_ascii=False) + "\n")
        written += 1
    return written


def write_file(pairs: Iterable[Pair], registry: Registry, path: Path) -> int:
    """A file of either kind, by its ending; the number of letters. Raises Misconfigured for one that cannot be
    written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    counted = _Counted(pairs)
    try:
        if path.suffix == ".avro":
            with part.open("wb") as binary:
                fastavro.writer(binary, fastavro.parse_schema(dict(SCHEMA)), map(_record, counted), codec="deflate")
                binary.flush()
                os.fsync(binary.fileno())
        else:
            with part.open("w", encoding="utf-8") as text:
                write_lines((letter for _, letter in counted), registry, text)
                text.flush()
                os.fsync(text.fileno())
        part.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be written: {error.strerror}", mend="name a file in a folder that can be written"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return counted.number


def refuse_stream(path: Path) -> None:
    """Raises Misconfigured for a pipe, a terminal or a folder: what is sent is read twice, the first time to check
    it."""
    try:
        is_file = S_ISREG(path.stat().st_mode)
    except OSError:
        # `read_file` says why.
        return
    if not is_file:
        raise Misconfigured(
            f"{path} is no file that can be read twice, and it is checked to its end before anything is sent",
            mend="write what comes out of the pipe into a file, and name that one",
        )


def read_file(path: Path, registry: Registry) -> Iterator[Outgoing]:
    """What a file says is to be sent, in its order. Raises Misconfigured, which names the line."""
    if path.suffix == ".avro":
        for message in read_part(path, path.name, 0):
            yield as_is(_told(lambda: exported_letter(message), f"a message of {path}"))  # noqa: B023 - called at once
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield _line(text, path, number, registry)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}", mend="look at the path") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is no text", mend="name JSON lines, or an export that ends on .avro") from error


def _line(text: str, path: Path, number: int, registry: Registry) -> Outgoing:
    try:
        return from_line(text, registry)
    except Misconfigured as wrong:
        raise Misconfigured(f"line {number} of {path}: {wrong.problem}", mend=wrong.mend) from wrong


def _told(read: Callable[[], Letter], where: str) -> Letter:
    try:
        return read()
    except ValueError as error:
        raise Misconfigured(f"{where} is no dead letter: {error}", mend="name an export of dead letters") from error


def _record(pair: Pair) -> dict[str, Any]:
    """The message as it was, with its place as a header more, the last one."""
    message, letter = pair
    record = to_record(message)
    return record | {"headers": [*record["headers"], {"name": PLACE, "value": str(letter.place).encode()}]}


class _Counted:
    """Counts what passes."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = pairs
        self.number = 0

    def __iter__(self) -> Iterator[Pair]:
        for pair in self._pairs:
            self.number += 1
            yield pair
