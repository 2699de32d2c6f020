"""What people see: tables that fit, words for numbers, and unknown never as zero."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import typer
from rich.console import Console

from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.report_view import COLUMNS, next_steps, show_rows
from taximeter_infra.cli.tail import use_of
from taximeter_infra.cli.topics import kept_for
from taximeter_schemas.event import AiUsage, MeterEvent, Quality

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RUN_ID = "019ea496-aede-709c-a85d-e4a5dd2aff2d"


def row(**changes: Any) -> dict[str, Any]:
    """A row of `report runs`."""
    numbers = ("duration_us", "executions", "errors", "timeouts", "cancellations", "input_tokens", "output_tokens")
    calls = ("unpriced_calls", "unmeasured_calls", "estimated_calls")
    names = {"run_id": RUN_ID, "account_id": "acct-001", "workflow_id": "invoice-triage", "user_id": "user-001-04"}
    told = {"started_at": NOW, "ai_calls": 1, "cost_usd": Decimal("0.5")}
    return names | dict.fromkeys(numbers + calls, 0) | told | changes


def shown(width: int, *rows: dict[str, Any], report: str = "runs") -> str:
    """The table as a terminal of that width gets it."""
    console = Console(file=io.StringIO(), width=width)
    show_rows(report, rows, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the file is the StringIO above
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_ids_are_never_folded(width: int) -> None:
    """A narrow terminal gets fewer columns, told below the table, instead of broken words."""
    text = shown(width, row())
    assert all(word in text for word in (RUN_ID, "invoice-triage", "$0.500000"))
    left_out = [heading for heading in COLUMNS["runs"] if heading not in text.splitlines()[0].split()]
    assert ("too narrow for" in text) == bool(left_out)
    assert all(heading in text for heading in left_out)


def test_a_report_keeps_its_subject() -> None:
    """A report of users without the users would say nothing."""
    text = shown(30, row(http_requests=0, cpu_us=0), report="users")
    assert text.split()[0] == "user"
    assert "too narrow for" in text


def test_unknown_tokens_are_not_zero() -> None:
    """Where nobody knows the use of any call, the table says so; a use of nothing is a zero."""
    assert shown(200, row(unmeasured_calls=1)).count("unknown") == 3
    assert "unknown" not in shown(200, row(unpriced_calls=0))
    assert "1 of 1 calls has no known use and is not in the sum" in shown(200, row(unmeasured_calls=1))


def test_a_report_without_rows_says_what_fills_it() -> None:
    """Whoever has just metered a first script may have left out the sink."""
    assert "`taximeter sink --until-caught-up` and `taximeter aggregate`" in shown(200)


def test_calls_without_a_price_lead_to_the_mend() -> None:
    """From the runs to the models, and from a provider that was guessed to the word that names it."""
    guessed = row(unpriced_calls=1, provider="openai-compatible")
    assert "`taximeter report models`" in next_steps("runs", [guessed], 20)[0]
    assert "providers={...}" in next_steps("models", [guessed], 20)[0]
    assert next_steps("models", [guessed | {"provider": "openai"}], 20) == []
    assert next_steps("runs", [row()], 20) == []


def test_a_report_that_may_be_cut_says_so() -> None:
    """As many rows as were asked for may not be all."""
    assert next_steps("runs", [row(), row()], 2) == ["2 rows at most; --limit shows more"]


def test_tail_says_unknown() -> None:
    """An answer that did not say what it used."""
    ai = AiUsage(provider="openai", model="gpt-4o", quality=Quality.MISSING)
    event = MeterEvent(
        event_id=UUID(RUN_ID), account_id="a", run_id="r", node_id="n", occurred_at=NOW, node_type="ai", ai=ai
    )
    assert use_of(event) == "gpt-4o unknown tokens (missing)"


def test_retention_is_told_in_days() -> None:
    """Or in hours where it is short; -1 is Kafka's word for ever."""
    assert kept_for("604800000") == "kept for 7 days"
    assert kept_for("3600000") == "kept for 1 hours"
    assert kept_for("-1") == "kept for ever"
    assert kept_for("unknown") == "retention unknown"


def test_a_wrong_time_names_its_option() -> None:
    """With two times on the line one wants to know which is wrong."""
    with pytest.raises(typer.BadParameter) as refused:
        parse_moment("2x", NOW, "--since")
    assert "--since" in refused.value.format_message()
