"""Which tables a shadow has of its own, which it gets copies of, and what an exchange moves. Values only."""

from __future__ import annotations

from typing import Final

from taximeter_consumers.rollups.definitions import ROLLUPS

EVENTS: Final = "stored_events"
LEDGER: Final = "stored_ingest_batches"
ROLLED_UP: Final = "stored_rolled_up_batches"
BOOKS: Final = "stored_book_versions"
ALIASES: Final = "stored_model_aliases"
REPRICES: Final = "stored_reprices"
ADJUSTMENTS: Final = "stored_adjustments"

REBUILT: Final = (EVENTS, LEDGER, *(rollup.table for rollup in ROLLUPS), ROLLED_UP, BOOKS)
"""What a replay builds again, in the order of their exchange: rollups after the events that they are made of, so that a
statement that writes into a new rollup reads new events; what is recorded of ticks last."""

PRICES: Final = ("stored_prices", "stored_discounts", ALIASES, "stored_price_cards", "stored_price_series")
"""The book: copied, and exchanged as well where the shadow has one of its own."""

RERATED: Final = (ADJUSTMENTS, REPRICES)
"""What re-rating has changed: like the book."""

SETTINGS: Final = (
    "stored_billing_accounts",
    "stored_plans",
    "stored_add_ons",
    "stored_credits",
    "stored_billing_periods",
    "stored_quota_plans",
    "stored_quota_limits",
    "stored_quota_assignments",
    "stored_quota_add_ons",
    "stored_quota_organisations",
    "stored_api_keys",
)
"""Copied once, so that every report works on a shadow; never exchanged."""
