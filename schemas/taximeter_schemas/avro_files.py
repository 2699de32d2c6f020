"""The packaged Avro files: published versions of `MeterEvent`, each frozen by its digest.

A published file is never edited, because bodies written with it lie in topics and archives. A new version is a new
file, its digest is added here, and the compatibility tests run over every pair.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

import fastavro
from fastavro.types import Schema

from taximeter_schemas.errors import Misconfigured

CURRENT_VERSION = 2

# SHA-256 of each published file's bytes.
FROZEN = {
    1: "c99f7b13be66a0c9634fd02dc49b4d27eee4376cbf9a6caa0bf35a6a6d71dcf1",
    2: "432f02f063c54b33991f31dc19366a58e3ec5113b66dd11c51b424d09878d180",
}


def text_of(version: int) -> str:
    """The file's text, checked against its frozen digest. Raises KeyError for a version that was never published."""
    expected = FROZEN[version]
    raw = (resources.files("taximeter_schemas") / "avro" / f"meter_event.v{version}.avsc").read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise Misconfigured(
            f"meter_event.v{version}.avsc was changed after it was published (sha256 {found})",
            mend="restore the file; a change to the event is a new file with the next version",
        )
    return raw.decode("utf-8")


@cache
def schema_of(version: int) -> dict[str, Any]:
    """The file as JSON."""
    schema: dict[str, Any] = json.loads(text_of(version))
    return schema


@cache
def parsed(version: int) -> Schema:
    """The file as fastavro wants it. The names are not shared between versions, so they may all be parsed at once."""
    return fastavro.parse_schema(schema_of(version), named_schemas={})
