"""Bills as providers export them, read without a server."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.reconcile.bill import Bill, read_bill
from taximeter_schemas.errors import Misconfigured

DAY = date(2026, 11, 2)
OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item,project_id
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,,,,,
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,0.5,usd,1000,"gpt-4o-2024-08-06, input",p
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,0.25,usd,100,"gpt-4o-2024-08-06, output",p
"""
OPENAI_USAGE = """\
start_time,end_time,project_id,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens
1793577600,1793664000,p,3,gpt-4o-mini-2024-07-18,120,30,20
"""
ANTHROPIC_COSTS = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type
2026-11-02,Claude Haiku 4.5,Default,k,message,\u2264 200k,input_no_cache,0.05,0.05,token
2026-11-02,Claude Haiku 4.5,Default,k,message,\u2264 200k,output,0.02,0.02,token
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_read,usage_output_tokens
2026-11-02,claude-haiku-4-5-20251001,k,100,900,50
"""


def bill(text: str, provider: str | None = None) -> Bill:
    """The bill in a text."""
    return read_bill(text.splitlines(), provider)


def test_costs_of_openai_are_summed_over_their_line_items() -> None:
    """A model's parts are one line; a day that states nothing is counted, not billed."""
    read = bill(OPENAI_COSTS)
    (line,) = read.lines
    assert (line.day, line.provider, line.model) == (DAY, "openai", "gpt-4o-2024-08-06")
    assert (line.cost_usd, line.tokens) == (Decimal("0.75"), None)
    assert (read.rows, read.empty, read.has_cost, read.has_models) == (3, 1, True, True)


def test_usage_of_openai_has_tokens_and_requests_but_no_cost() -> None:
    """Without a cost column tokens are what can be compared."""
    read = bill(OPENAI_USAGE)
    (line,) = read.lines
    assert not read.has_cost
    assert (line.cost_usd, line.input_tokens, line.output_tokens, line.requests) == (None, 120, 30, 3)


def test_costs_of_anthropics_console_are_summed_over_kinds_of_tokens() -> None:
    """Its models have names for people."""
    (line,) = bill(ANTHROPIC_COSTS).lines
    assert (line.provider, line.model, line.cost_usd) == ("anthropic", "Claude Haiku 4.5", Decimal("0.07"))


def test_usage_of_anthropics_console_adds_its_input_columns_up() -> None:
    """Cache reads are input, as they are in an event."""
    (line,) = bill(ANTHROPIC_USAGE).lines
    assert (line.provider, line.input_tokens, line.output_tokens) == ("anthropic", 1000, 50)


def test_a_plain_file_is_nobodys_until_somebody_says_whose() -> None:
    """`--provider` names it; a column `provider` does so line by line."""
    text = "Date,Model,Cost_USD,requests\n2026-11-02,m1,$1.50,2\n2026-11-03,m1,0,\n"
    assert bill(text).providers == ("",)
    assert bill(text, "Mistral").providers == ("mistral",)
    assert bill("date,provider,model,cost_usd\n2026-11-02,Groq,m,1\n").providers == ("groq",)
    assert [line.requests for line in bill(text).lines] == [2, None]


def test_what_is_missing_is_named() -> None:
    """The message has the columns that are missing, and those that are there."""
    with pytest.raises(Misconfigured, match=r"no column for the day .* nor for the cost .* its columns are a, b"):
        bill("a,b\n1,2\n")
    with pytest.raises(Misconfigured, match=r"its columns are \(none\)"):
        bill("")


@pytest.mark.parametrize("cell", ["yesterday,m,1", "2026-11-02,m,much", "2026-11-02,m,NaN", "1e99,m,1"])
def test_what_cannot_be_read_is_named_by_line(cell: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Misconfigured, match="line 3 of the bill cannot be read"):
        bill(f"date,model,cost_usd\n2026-11-01,m,1\n{cell}\n")


def test_only_dollars_are_compared() -> None:
    """Another currency is refused, since no rate of exchange is known."""
    with pytest.raises(Misconfigured, match="line 2 of the bill is in EUR"):
        bill("date,model,cost,currency\n2026-11-02,m,1,eur\n")


def test_days_can_be_cut_out() -> None:
    """From the first on, before the last."""
    read = bill("date,model,cost_usd\n2026-11-01,m,1\n2026-11-02,m,2\n2026-11-03,m,4\n")
    assert [line.cost_usd for line in read.within(DAY, date(2026, 11, 3)).lines] == [Decimal(2)]
    assert read.within(None, None).lines == read.lines


@given(st.lists(st.tuples(st.integers(1, 28), st.sampled_from("ab"), st.decimals(-9, 9, places=6)), min_size=1))
def test_no_cent_is_lost_in_summing(rows: list[tuple[int, str, Decimal]]) -> None:
    """The lines of a file add up to its cells, in any order."""
    text = "\n".join(["date,model,cost_usd", *(f"2026-11-{day:02},{model},{cost:f}" for day, model, cost in rows)])
    read = bill(text)
    assert sum((line.cost_usd or Decimal(0) for line in read.lines), Decimal(0)) == sum(cost for _, _, cost in rows)
    assert len(read.lines) == len({(day, model) for day, model, _ in rows})
