"""Sentences about limits."""

from __future__ import annotations

from decimal import Decimal

from taximeter_schemas.quota.answers import Standing
from taximeter_schemas.quota.limits import Action, OnOutage, Window
from taximeter_schemas.quota.wording import amount_of, explained, moment_of

DECEMBER = 1_796_083_200_000_000


def standing(**said: object) -> Standing:
    """A standing of the month's tokens."""
    known = {
        "level": "account/acme", "limit_id": "month", "meter": "total_tokens", "window": Window.MONTH, "hard": True,
        "action": Action.BLOCK, "on_outage": OnOutage.CLOSED, "limit": 5_000_000, "added": 0, "used": 4_990_000,
        "held": 8_000, "leased": 0, "remaining": 2_000, "starts_at": 0, "resets_at": DECEMBER,
    }  # fmt: skip
    return Standing.model_validate(known | said)


def test_a_standing_is_one_sentence() -> None:
    """Who, what, how much of how much, until when."""
    assert explained(standing()) == (
        "account/acme has used 4,990,000 of 5,000,000 total_tokens this month and 8,000 are held; 2,000 are left until"
        " 2026-12-01 00:00 UTC"
    )


def test_what_is_not_so_is_not_said() -> None:
    """Nothing held, no reset; what was bought and what is lacking is said."""
    said = explained(standing(held=0, added=500_000, remaining=1, resets_at=None, window=Window.RUN, lacking=1_234))
    assert said == (
        "account/acme has used 4,990,000 of 5,500,000 total_tokens (500,000 of them added) in this run; 1 is left;"
        " 1,234 calls without a known price or use are not in it"
    )


def test_amounts_are_shown_to_the_last_digit() -> None:
    """Thousands apart, no zeros at the end, no exponent."""
    assert [amount_of(Decimal(text)) for text in ("1234567.890", "0.000000000000000001", "1E+6", "0E-18")] == [
        "1,234,567.89", "0.000000000000000001", "1,000,000", "0",
    ]  # fmt: skip


def test_moments_have_seconds_only_where_needed() -> None:
    """UTC; what never comes is for ever."""
    assert moment_of(DECEMBER + 60_000_000) == "2026-12-01 00:01 UTC"
    assert moment_of(DECEMBER + 1_000_000) == "2026-12-01 00:00:01 UTC"
    assert moment_of(2**62) == "for ever"
