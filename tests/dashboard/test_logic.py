"""The page's own arithmetic, CSV, address and stream reader, run in the browser and held against Python."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import reduce
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr
from tests.api.use import FORMULAS
from tests.dashboard.browser import Opened, answering, chromium, watched

from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_schemas.money import plain
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration
WIDE = Context(prec=80)
NOW = "new Date('2026-11-22T10:20:30Z')"


@pytest.fixture(scope="module")
def page() -> Iterator[Opened]:
    """The page of an API behind which there is nothing: its files are enough."""
    nowhere = services_of(ClickHouseSettings(url=SecretStr("http://127.0.0.1:9")), ApiSettings())
    with chromium() as browser, answering(nowhere) as url:
        context = browser.new_context()
        opened = watched(context)
        opened.page.goto(f"{url}/dashboard")
        opened.until(lambda: opened.of("#key"))
        yield opened
        context.close()


def run(page: Opened, module: str, expression: str, given: Any = None) -> Any:
    """An expression over a module's exports, which are in scope as `m`, and `given`."""
    script = f"async (given) => {{ const m = await import('/dashboard/static/js/{module}.js'); return {expression}; }}"
    return page.page.evaluate(script, given)


def amounts(seed: int, number: int) -> list[str]:
    """Amounts of every size, as the API writes them."""
    random = Random(seed)
    found = ["0", "0.5", "-0.5", "999.995", "0.000000000000000001", "99999999999999999999.999999999999999999"]
    while len(found) < number:
        digits = Decimal(random.randrange(-(10 ** random.randrange(1, 38)), 10 ** random.randrange(1, 38)))
        found.append(plain(digits.scaleb(-random.randrange(19))))
    return found


def test_sums_are_exact(page: Opened) -> None:
    """Of hundreds of amounts, to the last of 38 digits."""
    given = amounts(1, 400)
    assert run(page, "decimal", "m.sum(given)", given) == plain(reduce(WIDE.add, map(Decimal, given)))


def test_rounding_is_half_up_and_order_is_by_value(page: Opened) -> None:
    """As `shown` rounds; and two spellings of one amount are the same."""
    given = amounts(2, 200)
    cent = Decimal("0.01")
    cents = [Decimal(one).quantize(cent, ROUND_HALF_UP, WIDE) for one in given]
    wanted = [f"{one:f}".replace("-0.00", "0.00") for one in cents]
    found = run(page, "decimal", "given.map((one) => m.rounded(one, 2))", given)
    assert [one.replace("-0.00", "0.00") for one in found] == wanted
    in_order = run(page, "decimal", "[...given].sort(m.compared)", given)
    assert [Decimal(one) for one in in_order] == sorted(Decimal(one) for one in given)
    assert run(page, "decimal", "m.compared('1.50', '1.5')") == 0
    assert run(page, "decimal", "[m.largest(['2', '10', '9.99']), m.largest([])]") == ["10", "0"]


def test_what_is_no_amount_is_refused(page: Opened) -> None:
    """Never taken for a number."""
    given = ["", "1e5", "NaN", "0x10", "1,000", " 1", ".5"]
    caught = "given.map((one) => { try { m.parsed(one); return false } catch { return true } })"
    assert run(page, "decimal", caught, given) == [True] * len(given)


def test_money_that_is_something_never_reads_as_nothing(page: Opened) -> None:
    """Grouped, and small amounts say that they are less than what is shown."""
    given = {
        "0": "$0.00",
        "1234567.891": "$1,234,567.89",
        "0.0125": "$0.0125",
        "0.00000001": "<$0.000001",
        "-3.005": "−$3.01",
    }
    assert run(page, "format", "given.map((one) => m.money(one))", list(given)) == list(given.values())
    assert run(page, "format", "m.money('0.004', 2)") == "<$0.01"
    assert run(page, "format", "m.exactMoney('1234.000000000000000001')") == "$1,234.000000000000000001"
    assert run(page, "decimal", "[m.percent('1', '3'), m.percent('1', '0')]") == ["33.3", ""]


def test_csv_holds_no_formula_and_keeps_numbers(page: Opened) -> None:
    """By the rule of the API's exports: what would be one gets an apostrophe; quotes and lines stay in a cell."""
    rows = [[name, "-1.5"] for name in (*FORMULAS, 'a "b", c', "two\nlines")]
    text = run(page, "csv", "m.csv([['name', (r) => r[0]], ['n', (r) => r[1], 'number']], given)", rows)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == ["name", "n"]
    for (name, number), (wanted, _) in zip(found[1:], rows, strict=True):
        assert number == "-1.5"
        assert name == (wanted if wanted in ("plain", 'a "b", c', "two\nlines") else f"'{wanted}")


@pytest.mark.parametrize(
    ("search", "kept"),
    [
        ("?account=a%26b&user=%3Cb%3E&range=7d&granularity=hour&order=cost", None),
        ("?from=2026-11-01&until=2026-11-05", None),
        ("?run=r%2F1&runAccount=acme", None),
        ("?range=nonsense&granularity=week&from=2026-13-01&until=x&order=up&other=1", ""),
        ("?from=2026-11-05&until=2026-11-01", ""),
        ("?range=30d", ""),
        ("?range=toString&account=" + "x" * 300, ""),
    ],
)
def test_an_address_says_the_state_and_back(page: Opened, search: str, kept: str | None) -> None:
    """What it cannot mean is left out, and so are defaults."""
    assert run(page, "state", "m.searchOf(m.stateOf(given))", search) == (search if kept is None else kept)


def test_times_are_whole_hours_of_utc(page: Opened) -> None:
    """A range begins at an hour or a day; days are inclusive; bars suit the length."""
    asked = "given.map((s) => { const t = m.stateOf(s); return [m.bounds(t, NOW), m.granularityOf(t, NOW)] })"
    given = ["?range=24h", "?range=7d", "?range=month", "?range=all", "?from=2026-11-01&until=2026-11-02"]
    assert run(page, "state", asked.replace("NOW", NOW), given) == [
        [{"from": "2026-11-21T11:00:00Z"}, "hour"],
        [{"from": "2026-11-15T00:00:00Z"}, "day"],
        [{"from": "2026-11-01T00:00:00Z"}, "day"],
        [{}, "day"],
        [{"from": "2026-11-01T00:00:00Z", "until": "2026-11-03T00:00:00Z"}, "hour"],
    ]


def test_no_filter_is_silently_left_out(page: Opened) -> None:
    """Whatever filters are set, each panel's question has all of them, or says which it cannot take."""
    script = """(() => {
      const names = Object.keys(s.FILTERS), found = [];
      for (let mask = 0; mask < 2 ** names.length; mask += 1) {
        const set = names.filter((_, at) => mask & (1 << at));
        const state = { range: 'all', order: 'recent', granularity: '', ...Object.fromEntries(set.map((n) => [n, n])) };
        for (const panel of ['totals', 'costOverTime', 'tokens', 'nodeTypes', 'workflows', 'users', 'nodes', 'runs']) {
          const asked = m.questionOf(panel, state, new Date());
          const told = asked.cannot ?? set.filter((name) => asked.params[s.FILTERS[name]] === name);
          found.push([panel, set, Boolean(asked.cannot), told]);
        }
      }
      return found;
    })()"""
    found = run(
        page,
        "questions",
        f"await (async () => {{ const s = await import('/dashboard/static/js/state.js'); return {script} }})()",
    )
    assert len(found) == 32 * 8
    for panel, given, cannot, told in found:
        assert told if cannot else told == given, (panel, given)
        assert set(told) <= set(given)


def test_a_stream_is_read_however_it_is_cut(page: Opened) -> None:
    """Events, comments, several lines and every kind of line end, in pieces of one character to all of it."""
    text = 'retry: 2000\n\n: beat\n\nid: 1\nevent: usage\ndata: {"a":1}\n\n'
    text += "event: totals\r\ndata: x\r\ndata:y\r\n\r\ndata: last\n\n"
    script = """[1, 2, 3, 7, 1000].map((size) => {
      const heard = [], take = m.reader((event) => heard.push(event));
      for (let at = 0; at < given.length; at += size) take(given.slice(at, at + size));
      return heard;
    })"""
    wanted = [
        {"event": "usage", "data": json.dumps({"a": 1}, separators=(",", ":")), "id": "1"},
        {"event": "totals", "data": "x\ny", "id": "1"},
        {"event": "message", "data": "last", "id": "1"},
    ]
    assert run(page, "sse", script, text) == [wanted] * 5


def test_the_page_needs_nothing_from_elsewhere_and_makes_no_complaint(page: Opened) -> None:
    """All that was loaded came from the API, and the policy was never broken."""
    loaded = page.page.evaluate("performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
    assert set(loaded) == {page.page.evaluate("location.origin")}
    assert page.complaints == []
