"""`GET /v1/models` and `POST /v1/cost-estimate`: the price book, and a call by it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.cursor import cursor_of, place_of
from taximeter_consumers.api.models.prices import (
    EstimateAnswer,
    EstimateAsked,
    EstimateLine,
    ModelPrices,
    ModelsPage,
    ModelsQuery,
    Window,
)
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.pricing.estimate import Call, PricedModel, UnknownModel, estimate, list_models
from taximeter_consumers.pricing.units import UNIT

router = APIRouter(prefix="/v1", tags=["prices"])
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@router.get("/models", operation_id="listModels", summary="Models and their prices", responses=refusals("not-found"))
def list_priced_models(chosen: Annotated[ModelsQuery, Query()], caller: Reader, services: Using) -> ModelsPage:
    """The models of the price book that have a price, by provider and name, as an account pays them."""
    account = caller.account(chosen.account_id)
    question: dict[str, Any] = {"account": account, **chosen.model_dump(include={"provider", "model", "at"})}
    after = tuple(place_of(chosen.cursor, question, (str, str))) if chosen.cursor else ("", "")
    found = services.models.get(
        (account, chosen.provider or "", chosen.at),
        lambda: list_models(services.reads.get(), chosen.at, provider=chosen.provider or "", account_id=account),
    )
    part = (chosen.model or "").lower()
    rows = [one for one in found if (one.provider, one.model) > after and part in one.model.lower()]
    page = rows[: chosen.limit]
    more = len(rows) > chosen.limit
    return ModelsPage(
        models=[_described(one) for one in page],
        next_cursor=cursor_of((page[-1].provider, page[-1].model), question) if more else None,
    )


@router.post(
    "/cost-estimate",
    operation_id="estimateCost",
    summary="What a call would cost",
    responses=refusals("not-found", "unsupported-media-type"),
)
def estimate_cost(asked: EstimateAsked, caller: Reader, services: Using) -> EstimateAnswer:
    """The cost of a call before it is made: matched, split and priced as a stored event would be.

    A model that the book does not know is refused, with the names that are near.
    """
    units = {**asked.units, **{name: count for name in _TOKENS if (count := getattr(asked, name))}}
    unknown = sorted(set(units) - set(UNIT))
    if unknown:
        raise Problem("invalid", f"units: {unknown[0]} is no unit of a model call; use {', '.join(UNIT)}")
    account = caller.account(asked.account_id)
    call = Call(asked.provider, asked.model, units, account, asked.service_tier or "")
    try:
        found = estimate(services.reads.get(), call, asked.at)
    except UnknownModel as error:
        near = [{"provider": provider, "model": model} for provider, model in error.near]
        raise Problem(
            "unknown-model", "name a model of GET /v1/models; those in `near` look like it", {"near": near}
        ) from None
    return EstimateAnswer(
        provider=found.book_name[0],
        model=found.book_name[1],
        at=found.at,
        cost_usd=found.cost_usd,
        cost_source=found.cost_source,
        lacking=list(found.lacking),
        lines=[
            EstimateLine(unit=line.unit, quantity=line.quantity, usd_per_unit=line.usd_per_unit, amount_usd=line.amount)
            for line in found.lines
        ],
    )


def _described(one: PricedModel) -> ModelPrices:
    return ModelPrices(
        provider=one.provider,
        model=one.model,
        usd_per_unit=dict(one.prices),
        service_tiers=list(one.service_tiers),
        above_input_tokens=list(one.above_input_tokens),
        windows=[Window(start=start, end=end) for start, end in one.windows],
    )
