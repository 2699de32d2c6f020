"""What the quota service answers, and what a crossing of a threshold says."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from taximeter_schemas.errors import Poison
from taximeter_schemas.quota.limits import Action, OnOutage, Window

# The least limit has 18 decimal places, and what is used of it may have far more digits than that.
_EXACT: Final = Context(prec=120)


class Status(StrEnum):
    """What became of a command."""

    GRANTED = "granted"
    DEGRADED = "degraded"
    """Granted, but a limit is used up: do it as `degrade_to` says."""
    DENIED = "denied"
    MOVED = "moved"
    """The account belongs to another root: ask again as `moved_to` says."""
    UNAVAILABLE = "unavailable"
    """What is used is not known now, and unknown is not zero."""
    SETTLED = "settled"
    RELEASED = "released"
    EXTENDED = "extended"
    UNKNOWN_HOLD = "unknown_hold"
    REFUSED = "refused"
    """The command makes no sense as things are; `reason` says why."""
    SHOWN = "shown"
    QUOTED = "quoted"


class Standing(BaseModel):
    """How one limit of one level stands in its current window (Unix microseconds).

    `used` is what the events say and what settled holds say that events do not show yet; `held` what is reserved;
    `leased`, a part of `held`, what gates hold; `remaining` is what is left of `limit` and `added`, never below zero.
    `lacking` counts calls without a known price or use, which a cost lacks.
    """

    model_config = ConfigDict(frozen=True)

    level: str
    limit_id: str
    plan_id: str = ""
    meter: str
    window: Window
    hard: bool
    action: Action
    on_outage: OnOutage
    limit: Decimal
    added: Decimal
    used: Decimal
    held: Decimal
    leased: Decimal
    remaining: Decimal
    lacking: int = 0
    starts_at: int
    resets_at: int | None
    """None: the limit is one of a run, or of a window whose end is not known."""

    @property
    def percent(self) -> Decimal:
        """Of what may be used, how much is: to two places, rounded down, so that 100 means used up."""
        most = _EXACT.add(self.limit, self.added)
        return _EXACT.divide(_EXACT.divide_int(_EXACT.multiply(self.used, 10_000), most), 100)


class HoldShown(BaseModel):
    """A hold as `show` tells of it. A later hold of the same root has a higher `place`."""

    model_config = ConfigDict(frozen=True)

    hold_id: str
    kind: str
    state: str
    amounts: Mapping[str, Decimal]
    expires_at: int
    run_id: str = ""
    parent: str | None = None
    place: int = 0


class QuotedNode(BaseModel):
    """A node of a quote: how many of the runs had it, and the quantiles of those."""

    model_config = ConfigDict(frozen=True)

    node_id: str
    node_type: str
    runs: int
    p50: Mapping[str, Decimal]
    p95: Mapping[str, Decimal]


class Quotation(BaseModel):
    """What runs of a workflow used. `runs` is how many it rests on; the cost of `lacking` of them is not all known."""

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    runs: int
    lacking: int
    since: int
    p50: Mapping[str, Decimal]
    p95: Mapping[str, Decimal]
    nodes: tuple[QuotedNode, ...] = ()


class Answer(BaseModel):
    """What a caller is told. `transaction_id` is what the events of the work must carry; `amounts` what is held.

    A denial says in `refused_by` which limit of which level has no room, what is left of it and when it resets. Limits
    that are passed and do not stop anything are in `warnings`. `as_of` is when ClickHouse last said what was used.
    """

    model_config = ConfigDict(frozen=True)

    command_id: str
    caller: str
    status: Status
    hold_id: str = ""
    transaction_id: str = ""
    amounts: Mapping[str, Decimal] = {}
    expires_at: int = 0
    as_of: int = 0
    on_outage: OnOutage = OnOutage.CLOSED
    """Closed, if any hard limit of the subject says so."""
    refused_by: Standing | None = None
    warnings: tuple[Standing, ...] = ()
    degrade_to: str = ""
    moved_to: str = ""
    reason: str = ""
    standings: tuple[Standing, ...] = ()
    holds: tuple[HoldShown, ...] = ()
    hidden_holds: int = 0
    """Older ones than those in `holds`; `show` before the place of the oldest has them."""
    quotation: Quotation | None = None

    @property
    def is_granted(self) -> bool:
        """Whether the work may be done."""
        return self.status in (Status.GRANTED, Status.DEGRADED)

    def encoded(self) -> bytes:
        """As the bytes of a record."""
        return self.model_dump_json(exclude_defaults=True).encode()


class Alert(BaseModel):
    """A threshold of a limit was reached; once for each window. `alert_id` is the same however often it is told."""

    model_config = ConfigDict(frozen=True)

    alert_id: str
    root: str
    threshold: Decimal
    standing: Standing
    at: int

    def encoded(self) -> bytes:
        """As the bytes of a record."""
        return self.model_dump_json().encode()


def answer_of(body: bytes) -> Answer:
    """The answer of a record. Raises Poison."""
    try:
        return Answer.model_validate_json(body)
    except ValidationError:
        raise Poison("no_quota_answer", "this record is no answer of the quota service") from None


def alert_of(body: bytes) -> Alert:
    """The alert of a record. Raises Poison."""
    try:
        return Alert.model_validate_json(body)
    except ValidationError:
        raise Poison("no_alert", "this record is no alert") from None
