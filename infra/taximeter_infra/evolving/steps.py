"""The safe order to a next version of the event: columns, then all sinks, then producers. Facts into steps. Pure.

A sink that does not know a field reads over it, and ClickHouse refuses a sink that writes a column which is not there.
So whoever writes the field comes last. Done in another order nothing is lost for good while Kafka or an archive has the
records, but what was stored meanwhile lacks the field until it is built again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from fastavro.types import Schema

from taximeter_consumers.sink.columns import COLUMN_OF, SchemaColumns
from taximeter_infra.evolving.facts import Arrivals, InRegistry, Tables, Unseen
from taximeter_infra.evolving.findings import MIGRATE
from taximeter_schemas import evolution
from taximeter_schemas.errors import Misconfigured, Poison
from taximeter_schemas.evolution import Change

if TYPE_CHECKING:
    from taximeter_schemas.registry_subject import Registered

_REBUILD: Final = (
    "finish the steps before; then `taximeter replay --shadow NAME --diff` shows what the stored events lack"
)
_BLIND: Final = "the steps above cannot be seen: mend that first, and upgrade no producer before"
_MOST_SINKS: Final = 5


class State(StrEnum):
    """How far a step is."""

    DONE = "done"
    TODO = "to do"
    LOOK = "look"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Step:
    """One step: how far it is, what was seen, what to do. `too_early`: it began before the steps above it ended."""

    title: str
    state: State
    said: str
    mend: str = ""
    too_early: bool = False


@dataclass(frozen=True)
class Evolution:
    """The candidate and everything that was seen. `published` are all versions before it, `ids` those it arrives by."""

    candidate: Schema
    published: Sequence[Schema]
    release: str
    ids: frozenset[int]
    tables: Tables | Unseen
    arrivals: Arrivals | Unseen

    @property
    def fields(self) -> list[str]:
        """What a sink must know: the candidate's fields, and those of every version before."""
        schemas = (self.candidate, *self.published)
        return list(dict.fromkeys(path for schema in schemas for path in evolution.paths(schema)))

    @property
    def changes(self) -> list[Change]:
        """What the candidate changes of the version that is nearest to it."""
        return min((evolution.changes(old, self.candidate) for old in self.published), key=len, default=[])

    def refusals(self) -> list[Change]:
        """What makes it unsafe, the sink's own limits among it."""
        found = evolution.refusals(self.published, self.candidate)
        try:
            SchemaColumns(0, cast("Mapping[str, Any]", self.candidate))
        except Poison as poison:
            found.append(Change("the record", "not_readable", is_safe=False, said=f"cannot be stored: {poison}"))
        return found

    def steps(self) -> list[Step]:
        """The three steps in their order."""
        columns, sinks = _columns(self), _sinks(self)
        return [columns, sinks, _producers(self, frozenset({columns.state, sinks.state}))]


def in_the_way(steps: Sequence[Step]) -> list[Step]:
    """What forbids to go on: a step that began too early, and columns or sinks that cannot be seen."""
    *before, producers = steps
    return [step for step in before if step.state is State.UNSEEN] + ([producers] if producers.too_early else [])


def ids_of(candidate: Schema, registry: InRegistry | None, packaged: Mapping[int, Schema]) -> frozenset[int]:
    """The schema ids under which records of the candidate come; none where nobody can write it yet."""
    if registry is None:
        return frozenset(version for version, schema in packaged.items() if evolution.same(schema, candidate))
    return frozenset(one.schema_id for one, schema in _readable(registry.versions) if evolution.same(schema, candidate))


def published_before(candidate: Schema, registry: InRegistry | None, packaged: Mapping[int, Schema]) -> list[Schema]:
    """Every version of package and registry that came before the candidate, each once."""
    registered = [schema for _, schema in _readable(() if registry is None else registry.versions)]
    found: list[Schema] = []
    for versions in (registered, [packaged[version] for version in sorted(packaged)]):
        for schema in versions:
            if evolution.same(schema, candidate):
                break
            if not any(evolution.same(schema, other) for other in found):
                found.append(schema)
    return found


def _readable(versions: Sequence[Registered]) -> Iterator[tuple[Registered, Schema]]:
    for one in versions:
        try:
            yield one, evolution.parse(one.text)
        except Misconfigured:
            continue


def _columns(next_version: Evolution) -> Step:
    title, found = "columns: `taximeter migrate`", next_version.tables
    if isinstance(found, Unseen):
        return Step(title, State.UNSEEN, found.problem, found.mend)
    if not found.columns:
        return Step(title, State.TODO, "there is no table stored_events in this database", MIGRATE)
    missing = [
        path for path in next_version.fields if not all(_has(columns, path) for columns in found.columns.values())
    ]
    if not missing:
        return Step(title, State.DONE, f"{' and '.join(found.columns)} have a column for every field")
    unwritten = [path for path in missing if path not in COLUMN_OF]
    mend = f"write a migration that adds {', '.join(map(_column, unwritten))} to both tables, then {MIGRATE}"
    return Step(title, State.TODO, f"no column yet for {', '.join(missing)}", mend if unwritten else MIGRATE)


def _sinks(next_version: Evolution) -> Step:
    title = "all sinks: the release that knows every field"
    unknown = [path for path in next_version.fields if path not in COLUMN_OF]
    if unknown:
        said = f"taximeter {next_version.release} reads over {', '.join(unknown)} and would store it empty"
        mend = "build a release whose sink writes it (COLUMN_OF in sink/columns.py), and upgrade every sink to it"
        return Step(title, State.TODO, said, mend)
    knows = f"taximeter {next_version.release} knows every field"
    found = next_version.tables
    if isinstance(found, Unseen):
        return Step(title, State.UNSEEN, f"{knows}; which sinks run cannot be seen", found.mend)
    if not found.sinks:
        return Step(title, State.DONE, f"{knows}; no sink stored anything in the last day")
    return Step(title, State.LOOK, f"{knows}; stored in the last day by {_named(found.sinks)}", "see that each runs it")


def _producers(next_version: Evolution, before: frozenset[State]) -> Step:
    title, found = "producers: executors, the API, spools", next_version.arrivals
    if isinstance(found, Unseen):
        return Step(title, State.UNSEEN, found.problem, found.mend)
    is_early, is_blind = State.TODO in before, State.UNSEEN in before
    wait = "not before the steps above are done" if is_early else _BLIND if is_blind else "upgrade the producers"
    if not found.records:
        return Step(title, State.UNSEEN, f"{found.topic} is empty, so nobody is seen writing", wait)
    arrived = sum(count for schema_id, count in found.by_id.items() if schema_id in next_version.ids)
    counted = ", ".join(
        f"{count:,} by id {schema_id}" if schema_id is not None else f"{count:,} without a schema id"
        for schema_id, count in sorted(found.by_id.items(), key=lambda item: (item[0] is None, item[0] or 0))
    )
    said = f"of the last {found.records:,} records of {found.topic} {arrived:,} have this version ({counted})"
    if arrived and is_early:
        return Step(title, State.TODO, f"TOO EARLY: {said}", _REBUILD, too_early=True)
    if arrived and is_blind:
        return Step(title, State.LOOK, said, _BLIND)
    if arrived and arrived == found.records:
        return Step(title, State.DONE, said)
    return Step(title, State.TODO, said if next_version.ids else f"{said}; it has no schema id yet", wait)


def _has(columns: frozenset[str], path: str) -> bool:
    return bool({COLUMN_OF.get(path, ""), _column(path)} & columns)


def _column(path: str) -> str:
    """What the column of a new field is called where nobody has said otherwise."""
    return path.replace(".", "_")


def _named(sinks: Mapping[str, datetime]) -> str:
    shown = [f"{name} (last {at:%m-%d %H:%M} UTC)" for name, at in sorted(sinks.items(), key=lambda item: item[1])]
    more = len(shown) - _MOST_SINKS
    return ", ".join(shown[-_MOST_SINKS:]) + (f" and {more} more" if more > 0 else "")
