"""What can be asked of the quota service, as values; both clients and the gate ask by these. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from typing import Literal, TypedDict

from taximeter.quota.asker import Question
from taximeter.quota.line import new_id
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.answers import Quotation
from taximeter_schemas.quota.commands import Confirm, Extend, Quote, Release, Reserve, Show
from taximeter_schemas.quota.meters import WHOLE_METERS, known_meter
from taximeter_schemas.quota.subject import Subject

Amounts = Mapping[str, Decimal | int]
Percentile = Literal["p50", "p95"]

TTL_SECONDS = 900
QUOTED_METERS = ("total_tokens", "executions", "cost_usd")


class HoldWords(TypedDict, total=False):
    """What a reservation may say besides: `ttl` in seconds; `hold_id` so that asking again means the same hold."""

    ttl: int
    parent: str | None
    at_least: Amounts | None
    kind: Literal["hold", "lease"]
    hold_id: str | None


class ShowWords(TypedDict, total=False):
    """Which holds are shown: those made before the one at a place; or one alone, also if it is over."""

    before: int | None
    only: str | None


class ReserveWords(HoldWords, total=False):
    """`HoldWords`, whether it is a question only, and how many seconds to wait for the answer."""

    dry_run: bool
    timeout: float | None


def reserve(subject: Subject, amounts: Amounts, words: ReserveWords) -> Question:
    """Hold amounts; or with `dry_run` ask what would be."""
    hold_id = words.get("hold_id") or new_id()
    asked = {
        "hold_id": hold_id,
        "amounts": dict(amounts),
        "at_least": words.get("at_least"),
        "kind": words.get("kind", "hold"),
        "parent": words.get("parent"),
        "ttl_seconds": words.get("ttl", TTL_SECONDS),
        "dry_run": words.get("dry_run", False),
    }
    return Question(Reserve, asked, subject, hold_id)


def confirm(hold_id: str, root: str, actual: Amounts) -> Question:
    """Settle a hold by what was used."""
    return Question(Confirm, {"root": root, "hold_id": hold_id, "actual": dict(actual)}, hold_id=hold_id)


def release(hold_id: str, root: str) -> Question:
    """Give a hold back."""
    return Question(Release, {"root": root, "hold_id": hold_id}, hold_id=hold_id)


def extend(hold_id: str, root: str, ttl: int) -> Question:
    """Keep a hold for `ttl` seconds from now on."""
    return Question(Extend, {"root": root, "hold_id": hold_id, "ttl_seconds": ttl}, hold_id=hold_id)


def show(subject: Subject, words: ShowWords | None = None) -> Question:
    """What counts for a subject."""
    return Question(Show, {**(words or {})}, subject)


def quote(workflow_id: str, subject: Subject) -> Question:
    """What a run of the workflow is likely to use."""
    return Question(Quote, {"workflow_id": workflow_id}, subject)


def amounts_of_quote(
    quotation: Quotation | None, percentile: Percentile, meters: tuple[str, ...] | None, otherwise: Amounts | None
) -> Amounts:
    """What to hold for a run like those of the quote. Raises Misconfigured where there were none and no `otherwise`."""
    if quotation is None or not quotation.runs:
        if otherwise is not None:
            return otherwise
        name = "" if quotation is None else f" {quotation.workflow_id!r}"
        raise Misconfigured(
            f"no finished run of the workflow{name} is known, so nobody can say what one uses",
            mend="reserve amounts of your own, or give them as otherwise={...}",
        )
    found = quotation.p95 if percentile == "p95" else quotation.p50
    wanted = QUOTED_METERS if meters is None else tuple(known_meter(meter) for meter in meters)
    kept = {meter: found[meter] for meter in wanted if found.get(meter)}
    return {meter: Decimal(ceil(amount)) if meter in WHOLE_METERS else amount for meter, amount in kept.items()}
