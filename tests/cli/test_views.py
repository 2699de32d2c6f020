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
from taximeter_infra.cli.report_words import cell, cost, footnotes, parts
from taximeter_infra.cli.tail import use_of
from taximeter_infra.cli.topics import kept_for
from taximeter_schemas.event import AiUsage, MeterEvent, Quality

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RUN_ID = "019ea496-aede-709c-a85d-e4a5dd2aff2d"


def row(**changes: Any) -> dict[str, Any]:
    """A row of `report runs`."""
    numbers = (
        "duration_us",
        "executions",
        "successes",
        "errors",
        "timeouts",
        "cancellations",
        "input_tokens",
        "output_tokens",
    )
    calls = ("unpriced_calls", "unmeasured_calls", "estimated_calls", "plugin_uses", "unpriced_plugins")
    names = {"run_id": RUN_ID, "account_id": "acct-001", "workflow_id": "invoice-triage", "user_id": "user-001-04"}
    parts = (
        "model",
        "plugin",
        "resource",
        "adjusted",
        "estimated",
        "useful",
        "retried",
        "failed",
        "cancelled",
        "wasted",
    )
    money = {f"{part}_cost_usd": Decimal(0) for part in parts}
    told = {"started_at": NOW, "ai_calls": 1, "cost_usd": Decimal("0.5")}
    return names | dict.fromkeys(numbers + calls, 0) | money | told | changes


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
    always = [heading for heading in COLUMNS["runs"] if heading != "wasted"]
    left_out = [heading for heading in always if heading not in text.splitlines()[0].split()]
    assert ("too narrow for" in text) == bool(left_out)
    assert all(heading in text for heading in left_out)


def test_a_report_keeps_its_subject() -> None:
    """A report of users without the users would say nothing."""
    text = shown(30, row(http_requests=0, cpu_us=0), report="users")
    assert text.split()[0] == "user"
    assert "too narrow for" in text


def test_unknown_tokens_are_not_zero() -> None:
    """Where nobody knows the use of any call, the table says so; a use of nothing is a zero."""
    assert shown(200, row(unmeasured_calls=1, cost_usd=Decimal(0))).count("unknown") == 3
    assert "unknown" not in shown(200, row(unpriced_calls=0))
    assert "1 of 1 calls has no known use and is not in the sum" in shown(200, row(unmeasured_calls=1))


def test_a_report_without_rows_says_what_fills_it() -> None:
    """Whoever has just metered a first script may have left out the sink."""
    assert "`taximeter sink --until-caught-up` and `taximeter aggregate`" in shown(200)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "$0.500000"),
        ({"cost_usd": Decimal(0), "ai_calls": 0}, "-"),
        ({"cost_usd": Decimal("0.25"), "ai_calls": 0}, "$0.250000"),
        ({"cost_usd": Decimal(0), "unpriced_calls": 1}, "unknown"),
        ({"cost_usd": Decimal(0), "ai_calls": 0, "plugin_uses": 2, "unpriced_plugins": 2}, "unknown"),
        ({"plugin_uses": 1, "unpriced_plugins": 1}, "≥ $0.500000"),
        ({"unmeasured_calls": 1}, "≥ $0.500000"),
        ({"estimated_calls": 1, "estimated_cost_usd": Decimal("0.1")}, "~$0.500000"),
        ({"ai_calls": 2, "unpriced_calls": 1, "estimated_cost_usd": Decimal("0.1")}, "≥ ~$0.500000"),
        ({"cost_usd": Decimal("1E-18")}, "<$0.000001"),
        ({"cost_usd": Decimal("-0.5")}, "-$0.500000"),
    ],
)
def test_a_cost_says_what_it_lacks(changes: dict[str, Any], told: str) -> None:
    """Models and plugins alike: unknown where nothing is known, at least where a part is, about where a part is a
    guess; own resources may cost something without any call."""
    assert cost(row(**changes)) == told


def test_footnotes_tell_what_a_sum_lacks() -> None:
    """Only where there is something to tell, in dollars and as a share where it is in the sum."""
    assert footnotes([row()]) == []
    lacking = row(ai_calls=300, unpriced_calls=12, plugin_uses=4, unpriced_plugins=1)
    assert footnotes([lacking]) == [
        "12 of 300 calls have no price and are not in the sum",
        "1 of 4 uses of plugins has no price and is not in the sum",
        "`taximeter prices unmatched` lists what has no price, with the command that sets one",
    ]
    a_part = Decimal("0.125")
    assert footnotes([row(estimated_calls=1, estimated_cost_usd=a_part, adjusted_cost_usd=-a_part)]) == [
        "1 of 1 calls is estimated: $0.125000 (25.0 %) of the sum",
        "re-rating took $0.125000 off the sum",
    ]
    assert "$0.125000 (25.0 %) was wasted" in footnotes([row(wasted_cost_usd=a_part)])[0]


def test_money_that_is_nothing_takes_no_column() -> None:
    """Retried, failed and cancelled dollars, plugins and resources are shown where there are some."""
    node = row(node_id="n", node_type="ai")
    assert "$" not in shown(300, node, report="nodes").splitlines()[0]
    some = Decimal("0.125")
    text = shown(300, node | {"retried_cost_usd": some, "wasted_cost_usd": some}, report="nodes")
    assert "retried $" in text.splitlines()[0]
    assert "failed $" not in text.splitlines()[0]
    flow = row(runs=1, wasted_cost_usd=some)
    assert "25.0 %" in shown(300, flow, report="workflows")
    assert parts(row(model_cost_usd=some * 3, resource_cost_usd=some, wasted_cost_usd=some, failed_cost_usd=some)) == [
        "for models $0.375000, resources (CPU, HTTP, executions) $0.125000",
        "spent: failed $0.125000",
    ]
    assert parts(row(model_cost_usd=some)) == []


def test_waste_of_calls_without_a_price_is_not_nothing() -> None:
    """A failed attempt of unknown cost beside one whose waste is known."""
    assert cell("wasted_cost_usd", row(unpriced_calls=1, errors=1)) == "unknown"
    assert cell("wasted_cost_usd", row(unpriced_calls=1, errors=1, wasted_cost_usd=Decimal(1))) == "≥ $1.000000"
    assert cell("wasted_cost_usd", row(errors=1)) == "-"
    assert cell("failed_cost_usd", row(unpriced_plugins=1, errors=1)) == "unknown"
    assert cell("cancelled_cost_usd", row(unpriced_plugins=1, errors=1)) == "-"


def test_a_guessed_provider_leads_to_the_mend() -> None:
    """From calls without a price to the word that names their provider."""
    guessed = row(unpriced_calls=1, provider="openai-compatible")
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
