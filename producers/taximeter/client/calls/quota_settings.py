"""What is limited: plans, who has which, and what was bought beside it. Changes need an operator's key.

A change is not sent again by itself: where nobody answered, look whether it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Unpack

from taximeter.client.answers.settings import AddOn, AddOns, Assignment, Assignments, Plan, Plans
from taximeter.client.call import Call, Instant, Reply, as_model, body_of, get, json_of, post, wire_name

if TYPE_CHECKING:
    from taximeter.client.asked import AddOnWords, AssignmentWords, LimitWords


def list_plans() -> Call[tuple[Plan, ...]]:
    """All plans, for operators; for an account's key those that it has or had."""
    return get("/v1/quota-plans", _plans, {})


def change_plan(
    plan_id: str, *, name: str | None = None, multiplier: Decimal | int | None = None, valid_from: Instant | None = None
) -> Call[Plan]:
    """Adds a plan, or changes its name or multiplier from a time on; its limits stay."""
    words = {"name": name, "multiplier": multiplier, "valid_from": valid_from}
    return post("/v1/quota-plans/{planId}", as_model(Plan), words, planId=plan_id)


def set_limit(plan_id: str, meter: str, amount: Decimal | int | None, **words: Unpack[LimitWords]) -> Call[Plan]:
    """Sets a limit of a plan from a time on; None or 0 ends it."""
    call = post("/v1/quota-plans/{planId}/limits", as_model(Plan), {}, planId=plan_id)
    return _saying(call, {"meter": meter, **words}, {"amount": amount})


def list_assignments(*, account_id: str | None = None) -> Call[tuple[Assignment, ...]]:
    """Of an account and its projects, users and keys; for operators who name none, of everybody."""
    return get("/v1/quota-assignments", _assignments, {"account_id": account_id})


def assign_plan(plan_id: str | None, **words: Unpack[AssignmentWords]) -> Call[Assignment]:
    """Gives an account, a part of it, or an organisation a plan from a time on; None: none from then on."""
    return _saying(post("/v1/quota-assignments", as_model(Assignment), {}), words, {"plan_id": plan_id})


def list_add_ons(*, account_id: str | None = None) -> Call[tuple[AddOn, ...]]:
    """Of an account and its projects, users and keys; for operators who name none, of everybody."""
    return get("/v1/quota-add-ons", _add_ons, {"account_id": account_id})


def add_on(**words: Unpack[AddOnWords]) -> Call[AddOn]:
    """Raises the limits by month of a meter by what was bought. The same `add_on_id` again replaces it."""
    return post("/v1/quota-add-ons", as_model(AddOn), words)


def _saying(call: Call[Any], words: Mapping[str, Any], null_is_said: Mapping[str, Any]) -> Call[Any]:
    body = body_of(words) | {wire_name(name): value for name, value in null_is_said.items()}
    return replace(call, body=json_of(body))


def _plans(reply: Reply) -> tuple[Plan, ...]:
    return as_model(Plans)(reply).plans


def _assignments(reply: Reply) -> tuple[Assignment, ...]:
    return as_model(Assignments)(reply).assignments


def _add_ons(reply: Reply) -> tuple[AddOn, ...]:
    return as_model(AddOns)(reply).add_ons
