"""A deleted row: an audit that does not see it, or sees another, does not pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import pytest

from chaos.faults import deleted_by_hand
from chaos.faults.deleted_by_hand import DELETIONS, Deletion, must_see
from chaos.world import World
from taximeter_schemas.errors import Retryable

NOWHERE = cast(World, None)
OF_RUNS, _, OF_EVENTS = DELETIONS


def answers(monkeypatch: pytest.MonkeyPatch, code: int, gaps: Sequence[tuple[str, str]], ingest: int = 3) -> None:
    """An audit that ends so, with gaps of (pair, account)."""
    told = json.dumps({"money": {"gaps": [{"pair": pair, "account_id": account} for pair, account in gaps]}})

    def audit(_: World, *options: str) -> tuple[int, str]:
        return (ingest, "") if "--ingest" in options else (code, f"a warning\n{told}")

    monkeypatch.setattr(deleted_by_hand, "audit", audit)


def gaps_of(deletion: Deletion, account: str = "a") -> list[tuple[str, str]]:
    """All that must be open."""
    return [(pair, account) for pair in deletion.pairs]


def test_an_audit_that_names_the_gap_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All comparisons that the row is in are open, at its account."""
    for deletion in DELETIONS:
        answers(monkeypatch, 1, gaps_of(deletion))
        must_see(NOWHERE, deletion, "a")


def test_an_audit_that_closes_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that all is well where a row is gone."""
    answers(monkeypatch, 0, [])
    with pytest.raises(Retryable, match="ends with 0"):
        must_see(NOWHERE, OF_RUNS, "a")


def test_an_audit_that_sees_half_of_it_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is in five comparisons, and the log's audit misses it as well."""
    answers(monkeypatch, 1, gaps_of(OF_EVENTS)[1:])
    with pytest.raises(Retryable, match="close"):
        must_see(NOWHERE, OF_EVENTS, "a")
    answers(monkeypatch, 1, gaps_of(OF_EVENTS), ingest=0)
    with pytest.raises(Retryable, match="log"):
        must_see(NOWHERE, OF_EVENTS, "a")


def test_an_audit_that_names_somebody_else_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap where nothing was touched is a false alarm."""
    answers(monkeypatch, 1, [*gaps_of(OF_RUNS), ("charged = charges", "b")])
    with pytest.raises(Retryable, match="names"):
        must_see(NOWHERE, OF_RUNS, "a")
