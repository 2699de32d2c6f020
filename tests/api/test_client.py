"""The Python client against a real API: a socket, Kafka, ClickHouse and a quota service."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.api.documented import ACCOUNT, RUN, Documented
from tests.api.writing import Writing

from taximeter.client import AsyncTaximeter, LimitReached, NotAllowed, NotFound, Taximeter, Unavailable
from taximeter.client.answers.live import Freshness, Totals, UsageChanged
from taximeter_infra.stack.room import free_ports
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import new_event_id

pytestmark = pytest.mark.integration


@pytest.fixture
def acme(world: Documented) -> Iterator[Taximeter]:
    """With a key of the account that may do everything for it."""
    with Taximeter(world.url, world.acme, internal_key=world.internal) as client:
        yield client


@pytest.fixture
def operator(world: Documented) -> Iterator[Taximeter]:
    """With an operator's key."""
    with Taximeter(world.url, world.operator) as client:
        yield client


def test_a_run_is_a_tree_with_exact_money(acme: Taximeter) -> None:
    """Nodes, attempts, what was wasted; the same run is in the list and in the sums."""
    tree = acme.runs.get(RUN)
    assert tree.is_complete
    assert {node.node_id: node.attempt_count for node in tree.run.nodes} == {"fetch": 1, "summarise": 2}
    assert isinstance(tree.run.cost.cost_usd, Decimal)
    assert tree.run.cost.cost_usd == Decimal("0.0064")
    assert tree.run.spent.wasted_cost_usd > 0
    (listed,) = acme.runs.list(workflow_id="triage", order="cost")
    assert listed.cost == tree.run.cost
    (row,) = acme.summary(group_by=["workflow"], granularity="month").rows
    assert (row.workflow_id, row.cost.cost_usd) == ("triage", tree.run.cost.cost_usd)
    assert row.period == datetime(2026, 11, 1, tzinfo=UTC)


def test_lists_walk_all_pages(acme: Taximeter) -> None:
    """However small the pages are; a listing may be read again."""
    rows = acme.usage.list(run_id=RUN, since=date(2026, 11, 1), limit=1)
    found = list(rows)
    assert [record.node_id for record in found] == ["summarise", "summarise", "fetch"]
    assert list(rows) == found
    page = acme.usage.page(run_id=RUN, limit=2, summary=True)
    assert page.next_cursor
    assert page.summary is not None
    assert page.summary.total.cost_usd == sum(record.cost_usd for record in found)
    assert acme.usage.summary(run_id=RUN).total == page.summary.total
    assert len(list(acme.models.list(provider="openai", limit=2))) == len(acme.models.page(provider="openai").models)


def test_a_call_is_estimated_by_the_book(acme: Taximeter) -> None:
    """To the last digit."""
    found = acme.cost_estimate(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=70)
    assert found.cost_usd == Decimal("0.0032")
    assert sum(line.amount_usd for line in found.lines) == found.cost_usd


def test_invoices_come_in_every_form(acme: Taximeter) -> None:
    """As models, as a page, as PDF."""
    (head,) = acme.invoices.list()
    invoice = acme.invoices.get(head.number)
    assert (invoice.invoice_id, invoice.is_intact) == (head.invoice_id, True)
    assert sum(line.amount_usd for line in invoice.lines) == invoice.totals.due_usd == head.due_usd
    assert head.invoice_id in acme.invoices.html(head.invoice_id)
    assert acme.invoices.pdf(head.number).startswith(b"%PDF")


def test_an_export_is_a_whole_file(acme: Taximeter, operator: Taximeter, tmp_path: Path) -> None:
    """Streamed; a refusal leaves no file."""
    size = acme.export(tmp_path / "usage.csv", "usage", run_id=RUN)
    lines = (tmp_path / "usage.csv").read_bytes()
    assert len(lines) == size
    assert lines.count(b"\n") == 4
    with pytest.raises(NotFound):
        acme.export(tmp_path / "none.csv", "usage", account_id="another")
    assert [path.name for path in tmp_path.iterdir()] == ["usage.csv"]


def test_what_is_sent_is_in_kafka(acme: Taximeter, world: Documented) -> None:
    """A use and a batch; a repeat with its key is the same event."""
    words = {"provider": "openai", "model": "gpt-4o", "context": "customer", "transaction_id": "client-1"}
    key = str(new_event_id())
    first, again = (acme.usage.record(**words, input_tokens=7, idempotency_key=key) for _ in range(2))  # type: ignore[arg-type]  # a TypedDict
    assert first == again
    batch = [
        MeterEvent(event_id=new_event_id(), occurred_at=datetime.now(UTC), run_id="sent", ai=AiUsage(model="m")),
        {"eventId": "none"},
    ]
    answer = acme.events.send(batch)
    assert (answer.accepted, answer.refused) == (1, 1)
    assert answer.results[1].problem
    stored = [event for event in world.writing.events_of(ACCOUNT) if event.transaction_id == "client-1"]
    assert {event.event_id for event in stored} == {first.event_id}


def test_a_hold_is_confirmed_by_what_was_used(acme: Taximeter) -> None:
    """And an error within gives it back and passes on."""
    before = acme.quota.get(ACCOUNT).standings[0]
    with acme.reservations.hold({"total_tokens": 500}, ttl_seconds=60) as hold:
        assert hold.transaction_id == hold.reservation.transaction_id
        assert acme.quota.get(ACCOUNT).standings[0].held == before.held + 500
        hold.used({"total_tokens": 100})
        hold.used({"total_tokens": 20})
    after = acme.quota.get(ACCOUNT).standings[0]
    assert (after.used - before.used, after.held) == (120, before.held)
    assert acme.reservations.get(hold.reservation.reservation_id).state == "settled"

    def broken() -> None:
        with acme.reservations.hold({"total_tokens": 500}) as lost:
            names.append(lost.reservation.reservation_id)
            raise KeyError("work")

    names: list[str] = []
    with pytest.raises(KeyError, match="work"):
        broken()
    assert acme.reservations.get(names[0]).state == "released"
    assert acme.quota.get(ACCOUNT).standings[0].held == before.held


def test_a_limit_says_which_and_how_much_is_left(acme: Taximeter) -> None:
    """As an error of a reservation, and as an answer of a check."""
    most = {"total_tokens": 6_000_000}
    with pytest.raises(LimitReached) as refused:
        acme.reservations.create(most)
    assert refused.value.standing is not None
    assert refused.value.standing["level"] == "account/acme"
    check = acme.quota.check(most)
    assert not check.allowed
    assert check.refused_by is not None
    assert check.refused_by.limit == 5_000_000


def test_more_reservations_than_an_answer_shows_are_all_listed(operator: Taximeter, world: Documented) -> None:
    """Over 200: the newest first, page by page, each once; and each is found by its name."""
    account = world.writing.site.account(10**6).account_id
    names = [operator.reservations.create({"total_tokens": 1}, account_id=account).reservation_id for _ in range(205)]
    found = [one.reservation_id for one in operator.reservations.list(account_id=account, limit=200)]
    assert found == names[::-1]
    quota = operator.quota.get(account)
    assert (len(quota.reservations), quota.more_reservations) == (200, True)
    assert operator.reservations.get(names[0], account_id=account).state == "open"
    small = operator.reservations.page(account_id=account, limit=3)
    assert [one.reservation_id for one in small.reservations] == found[:3]
    assert not acme_sees(world.writing, account)


def acme_sees(writing: Writing, account: str) -> bool:
    """Whether a key of another account gets an answer about this one's reservations."""
    answer = writing.ask("GET", "/v1/reservations", writing.key(ACCOUNT), params={"accountId": account})
    return bool(answer.status_code != 404)


def test_plans_are_set_by_operators_alone(acme: Taximeter, operator: Taximeter) -> None:
    """A plan, its limit, who has it, what was bought beside it."""
    name = f"plan-{secrets.token_hex(4)}"
    operator.plans.change(name, name="Test", multiplier=Decimal("1.5"))
    plan = operator.plans.set_limit(name, "cost_usd", Decimal("12.5"), window="day", thresholds=[80, 100])
    assert (plan.multiplier, plan.limits[0].amount, plan.limits[0].window) == (Decimal("1.5"), Decimal("12.5"), "day")
    assert name in {one.plan_id for one in operator.plans.list()}
    assert operator.assignments.create(name, account_id=name).plan_id == name
    assert [one.plan_id for one in operator.assignments.list(account_id=name)] == [name]
    bought = operator.add_ons.create(add_on_id=name, account_id=name, meter="total_tokens", amount=100)
    assert operator.add_ons.list(account_id=name) == (bought,)
    with pytest.raises(NotAllowed, match="operator"):
        acme.plans.change(name, name="Mine")


def test_the_bar_the_key_and_the_probes(acme: Taximeter) -> None:
    """What a page asks."""
    bar = acme.account.usage()
    assert (bar.plan, bar.limit) == ("starter", 5_000_000)
    assert acme.key().account_id == ACCOUNT
    assert acme.alive().status == "alive"
    assert acme.ready().clickhouse
    assert "taximeter_api_requests_total" in acme.metrics()
    assert acme.embed_tokens.create(user_id="ada", ttl_seconds=60).path.startswith("/embed/usage#token=")
    assert acme.account.simulate_tokens(5).tokens_added == 5


def test_a_worker_charges_with_the_deployments_secret(acme: Taximeter, world: Documented) -> None:
    """And an API key is no such secret."""
    words = {"flow_id": "f", "user_id": "ada", "model": "gpt-4o", "ai_system": "openai", "output_tokens": 1}
    charged = acme.worker.charge_tokens(**words, input_tokens=Decimal("1.5"))  # type: ignore[arg-type]  # a TypedDict
    assert charged.success is True
    with Taximeter(world.url, world.acme, internal_key="wrong") as other, pytest.raises(NotAllowed):
        other.worker.charge_tokens(**words, input_tokens=1)  # type: ignore[arg-type]  # a TypedDict


def test_the_stream_tells_at_once(acme: Taximeter) -> None:
    """The bar, the totals of the day, how fresh they are; leaving the loop ends it."""
    wanted = {UsageChanged: "account_id", Totals: "cost_usd", Freshness: "ready"}
    events = acme.stream()
    for event in events:
        wanted.pop(type(event), None)
        if not wanted:
            break
    events.close()  # type: ignore[attr-defined]  # it is a generator
    assert wanted == {}


def test_another_account_and_another_key_are_refused(world: Documented) -> None:
    """By kinds of errors that say what to do, and never quote the key."""
    with Taximeter(world.url, world.acme) as client, pytest.raises(NotFound, match="accountId"):
        client.usage.summary(account_id="another")
    wrong = "tm_0000000000000000_" + "x" * 43
    with Taximeter(world.url, wrong) as client, pytest.raises(NotAllowed) as refused:
        client.runs.get(RUN)
    assert wrong not in str(refused.value)


def test_nothing_that_is_logged_has_the_key(world: Documented, caplog: pytest.LogCaptureFixture) -> None:
    """At the level of debugging, whoever logs."""
    with caplog.at_level(logging.DEBUG), Taximeter(world.url, world.acme) as client:
        client.runs.get(RUN)
    assert "runs/nightly-42" in caplog.text
    assert world.acme.rpartition("_")[2] not in caplog.text


def test_where_nobody_listens_it_says_so() -> None:
    """After its retries, as Unavailable."""
    (port,) = free_ports(1)
    with Taximeter(f"http://127.0.0.1:{port}", "tm_x", max_retries=1) as client, pytest.raises(Unavailable) as gone:
        client.runs.get(RUN)
    assert gone.value.status == 0


def test_the_async_client_does_the_same(world: Documented, tmp_path: Path) -> None:
    """Calls, listings, holds, exports and streams, awaited and together."""

    async def all_of_it() -> None:
        async with AsyncTaximeter(world.url, world.acme) as client:
            tree, bar = await asyncio.gather(client.runs.get(RUN), client.account.usage())
            assert (tree.run.run_id, bar.plan) == (RUN, "starter")
            assert len([record async for record in client.usage.list(run_id=RUN, limit=2)]) == 3
            async with client.reservations.hold({"total_tokens": 5}) as hold:
                hold.used({"total_tokens": 1})
            assert (await client.reservations.get(hold.reservation.reservation_id)).state == "settled"
            assert await client.export(tmp_path / "usage.jsonl", "usage", run_id=RUN, format="jsonl") > 0
            stream = client.stream()
            async for event in stream:
                if isinstance(event, Totals):
                    break
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
            with pytest.raises(LookupError):
                async with client.reservations.hold({"total_tokens": 5}) as lost:
                    raise LookupError
            assert (await client.reservations.get(lost.reservation.reservation_id)).state == "released"

    asyncio.run(all_of_it())
