"""The price book, and a call by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from taximeter.client.answers.prices import CostEstimate, ModelsPage
from taximeter.client.call import Call, as_model, get, post

if TYPE_CHECKING:
    from taximeter.client.asked import EstimateWords, ModelsPageWords


def models_page(**words: Unpack[ModelsPageWords]) -> Call[ModelsPage]:
    """One page of the models that have a price, as an account pays them."""
    return get("/v1/models", as_model(ModelsPage), words)


def estimate_cost(**words: Unpack[EstimateWords]) -> Call[CostEstimate]:
    """What a call would cost, priced as a stored event would be.

    Raises Invalid for a model that the book does not know; its `more["near"]` has names that look like it.
    """
    return replace(post("/v1/cost-estimate", as_model(CostEstimate), words), may_repeat=True)
