"""Whether what runs fits the packaged schemas: facts into findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fastavro.types import Schema

from taximeter_consumers.sink.columns import COLUMN_OF
from taximeter_infra.evolving.facts import InRegistry, Tables, Unseen
from taximeter_schemas import evolution
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.registry import WANTED_MODE

if TYPE_CHECKING:
    from taximeter_schemas.registry_subject import Registered

MIGRATE: Final = "`taximeter migrate`"


class Level(StrEnum):
    """What a finding asks for."""

    HOLDS = "holds"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One sentence, and where something is to be done: what."""

    level: Level
    said: str
    mend: str = ""


def of_packaged(packaged: Mapping[int, Schema]) -> Iterator[Finding]:
    """Whether every packaged version may follow all that came before it."""
    for version in sorted(packaged):
        earlier = [schema for number, schema in packaged.items() if number < version]
        for change in evolution.refusals(earlier, packaged[version]):
            said = f"packaged version {version}: {change.path} {change.said}"
            yield Finding(Level.WRONG, said, "install a release of Taximeter as it was published")
    yield Finding(Level.HOLDS, f"packaged: versions {_listed(sorted(packaged))}, version {max(packaged)} is written")


def of_registry(found: InRegistry | Unseen | None, packaged: Mapping[int, Schema]) -> Iterator[Finding]:
    """What the registry has, and whether it goes with the version that is written."""
    if found is None:
        yield Finding(Level.NOTE, "no registry is set: records carry the number of the packaged version as schema id")
        return
    if isinstance(found, Unseen):
        yield Finding(Level.WRONG, found.problem, found.mend)
        return
    if not any(known_as(one, packaged) == max(packaged) for one in found.versions):
        said = f"the registry does not have packaged version {max(packaged)} yet; the first producer registers it"
        yield Finding(Level.NOTE, said, "`taximeter schema register`")
    yield from _of_versions(found, packaged)
    if found.mode != WANTED_MODE:
        said = f"the registry holds {found.subject} to {found.mode}, so it may take a schema that loses events"
        mend = f"set the compatibility of {found.subject} to {WANTED_MODE} (PUT /config/{found.subject})"
        yield Finding(Level.WRONG, said, mend)
    else:
        yield Finding(Level.HOLDS, f"registry: {found.subject} is held to {found.mode}")


def of_tables(found: Tables | Unseen, schema: Schema) -> Iterator[Finding]:
    """Whether every field has its column, wherever events lie."""
    if isinstance(found, Unseen):
        yield Finding(Level.WRONG, found.problem, found.mend)
        return
    if not found.columns:
        yield Finding(Level.WRONG, "there is no table stored_events in this database", MIGRATE)
        return
    fields = evolution.paths(schema)
    unread = [path for path in fields if path not in COLUMN_OF]
    if unread:
        said = f"the sink of this release reads over {_listed(unread)}"
        yield Finding(Level.WRONG, said, "install a release of Taximeter as it was published")
    for table, columns in found.columns.items():
        missing = [path for path in fields if path in COLUMN_OF and COLUMN_OF[path] not in columns]
        if missing:
            yield Finding(Level.WRONG, f"{table} has no column for {_listed(missing)}", MIGRATE)
        else:
            yield Finding(Level.HOLDS, f"{table}: a column for each of {len(fields)} fields")


def in_the_way(found: InRegistry, packaged: Mapping[int, Schema]) -> Iterator[Finding]:
    """What speaks against registering the version that is written. That the registry is lenient does not."""
    return (finding for finding in _of_versions(found, packaged) if finding.level is Level.WRONG)


def known_as(one: Registered, packaged: Mapping[int, Schema]) -> int | None:
    """The packaged version that a registered one is."""
    return next((version for version, schema in packaged.items() if _is(one, schema)), None)


def _of_versions(found: InRegistry, packaged: Mapping[int, Schema]) -> Iterator[Finding]:
    here = next((one.version for one in found.versions if known_as(one, packaged) == max(packaged)), None)
    for one in found.versions:
        yield from _of_version(one, packaged, is_newer=here is not None and one.version > here)
    if found.refusing:
        said = f"the registry finds the packaged version incompatible with its versions {_listed(found.refusing)}"
        yield Finding(Level.WRONG, said, "look what these versions are, and who registered them")


def _of_version(one: Registered, packaged: Mapping[int, Schema], *, is_newer: bool) -> Iterator[Finding]:
    label = f"registry: version {one.version} (id {one.schema_id})"
    known = known_as(one, packaged)
    if known is not None:
        yield Finding(Level.HOLDS, f"{label} is packaged version {known}")
        return
    current = packaged[max(packaged)]
    try:
        theirs = evolution.parse(one.text)
    except Misconfigured:
        yield Finding(Level.WRONG, f"{label} is no event at all", "look who else registers under this subject")
        return
    old, new = (current, theirs) if is_newer else (theirs, current)
    unsafe = [change for change in evolution.changes(old, new) if not change.is_safe]
    for change in unsafe:
        said = f"{label} does not go with packaged version {max(packaged)}: {change.path} {change.said}"
        yield Finding(Level.WRONG, said, "look who registered it, and whether records carry its id")
    if not unsafe:
        said = f"{label} is not packaged here; its records are stored without what only it has"
        yield Finding(Level.NOTE, said, "upgrade the sinks to the release that has it")


def _is(one: Registered, schema: Schema) -> bool:
    try:
        return evolution.same(evolution.parse(one.text), schema)
    except Misconfigured:
        return False


def _listed(items: Sequence[object]) -> str:
    return ", ".join(map(str, items))
