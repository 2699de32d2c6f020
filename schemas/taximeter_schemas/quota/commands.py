"""What goes through the topic of quota commands, keyed by the root of the subject: JSON, one object each.

Callers ask (`Reserve` to `Quote`) and wait for an `Answer`. `Facts` come from the owner of the partition itself: what
ClickHouse knows. State is a function of this log and of nothing else, its records' own times included, so whoever reads
it again comes to the same decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from taximeter_schemas.errors import Poison
from taximeter_schemas.quota.limits import Rule
from taximeter_schemas.quota.meters import Amounts
from taximeter_schemas.quota.subject import Subject

Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
LONGEST_HOLD_SECONDS = 7 * 24 * 3600


class _Asked(BaseModel):
    """`answer_to` is the partition of the answers topic on which the caller listens, by the name `caller`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command_id: Id
    caller: Id
    answer_to: Annotated[int, Field(ge=0)]
    wait_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 5_000


class Reserve(_Asked):
    """Hold `amounts` for `subject` until `ttl_seconds` are over. Asked again with the same `hold_id`: the same hold.

    With `at_least` less than `amounts` may be given, but not less than that. With `parent` the amounts are drawn from
    that hold instead of from the subject's limits. With `dry_run` nothing is held: the answer says what would be.
    """

    command: Literal["reserve"] = "reserve"
    subject: Subject
    hold_id: Id
    amounts: Amounts
    at_least: Amounts | None = None
    kind: Literal["hold", "lease"] = "hold"
    parent: Id | None = None
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_HOLD_SECONDS)] = 900
    dry_run: bool = False

    @model_validator(mode="after")
    def _least_is_no_more(self) -> Reserve:
        if any(amount > self.amounts.get(meter, 0) for meter, amount in (self.at_least or {}).items()):
            raise ValueError("at_least is more than amounts")
        return self


class Confirm(_Asked):
    """The work of a hold is done and used `actual`. A meter of the hold that is not in it: all that was held."""

    command: Literal["confirm"] = "confirm"
    root: str
    hold_id: Id
    actual: Amounts


class Release(_Asked):
    """The work of a hold is not done, or no further: what its inner holds used stays, the rest returns."""

    command: Literal["release"] = "release"
    root: str
    hold_id: Id


class Extend(_Asked):
    """A hold is needed longer: `ttl_seconds` from now on."""

    command: Literal["extend"] = "extend"
    root: str
    hold_id: Id
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_HOLD_SECONDS)]


class Show(_Asked):
    """What counts for a subject: limits, use, holds. Of the holds those made before the one at the place `before`; with
    `only` that one alone, also if it is over and still remembered."""

    command: Literal["show"] = "show"
    subject: Subject
    before: Annotated[int, Field(ge=0)] | None = None
    only: Id | None = None


class Quote(_Asked):
    """What a run of the workflow is likely to use, by its history."""

    command: Literal["quote"] = "quote"
    subject: Subject
    workflow_id: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class LevelFacts(BaseModel):
    """What ClickHouse knows of a level. `usage`: meter to start of window (Unix microseconds; 0: the run) to amount.

    `lacking` counts calls without a known price or use, which `cost_usd` lacks, by start of window. `idle`: nothing
    is limited there.
    """

    model_config = ConfigDict(frozen=True)

    rules: tuple[Rule, ...] = ()
    usage: Mapping[str, Mapping[int, Decimal]] = {}
    lacking: Mapping[int, int] = {}


class Facts(BaseModel):
    """What ClickHouse said at `as_of` of a root and some of its levels (Unix microseconds). Older ones than those that
    are known change nothing.

    `visible`: what of each transaction the usage includes; read before it, so that the usage includes no less. Where it
    is too much for one record, it follows (`more`) in records as of the same moment that name no levels.
    `complete_until`: every event that Kafka had before is in it. `unavailable`: ClickHouse did not answer; who waits
    for these levels is told so. `moved_to`: account to the root under which it is decided by now.
    """

    model_config = ConfigDict(frozen=True)

    command: Literal["facts"] = "facts"
    root: str
    as_of: int
    complete_until: int = 0
    levels: Mapping[str, LevelFacts] = {}
    visible: Mapping[str, Mapping[str, Decimal]] = {}
    unavailable: tuple[str, ...] = ()
    moved_to: Mapping[str, str] = {}
    more: bool = False


Asked = Reserve | Confirm | Release | Extend | Show | Quote
Command = Asked | Facts

_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="command")])


def root_of(command: Command) -> str:
    """The key of a command: what it must be decided together with."""
    return command.subject.root if isinstance(command, Reserve | Show | Quote) else command.root


def encoded(command: Command) -> bytes:
    """A command as the bytes of a record."""
    return command.model_dump_json(exclude_defaults=False).encode()


def decoded(body: bytes) -> Command:
    """The command of a record. Raises Poison."""
    try:
        return _COMMAND.validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:3])
        raise Poison("no_quota_command", f"this is no quota command ({wrong})") from None
