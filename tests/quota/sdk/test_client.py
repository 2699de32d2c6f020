"""A client and the real quota service on the real broker."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from tests.quota.sdk.conftest import Site

from taximeter.quota import AsyncQuotaClient, AsyncQuotaGate, QuotaClient, QuotaGate, QuotaSettings, QuotaUnavailable
from taximeter.quota import or_raise as granted
from taximeter.quota.asker import Asker
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Denied, Misconfigured
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.limits import OnOutage
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.settings import KafkaSettings, TopicSettings

METER = "total_tokens"
pytestmark = pytest.mark.integration


def test_a_hold_from_reservation_to_settling(serving: Site) -> None:
    """Granted, extended, shown, confirmed; what was not used is free again, and the denial explains itself."""
    acme = serving.account(1_000)
    with serving.client() as client:
        answer = granted(client.reserve(acme, {METER: 600}))
        assert answer.transaction_id
        assert client.check(acme, {METER: 500}).status is Status.DENIED
        assert client.extend(answer, 3_600).status is Status.EXTENDED
        (standing,) = client.show(acme).standings
        assert (standing.held, standing.remaining) == (600, 400)
        assert client.confirm(answer, {METER: 250}).status is Status.SETTLED
        with pytest.raises(Denied, match="has used 250 of 1,000 total_tokens this month; 750 are left until"):
            granted(client.reserve(acme, {METER: 751}))
        whole = granted(client.reserve(acme, {METER: 750}))
        assert client.release(whole).status is Status.RELEASED
        assert client.show(acme).standings[0].remaining == 750


def test_the_same_hold_asked_twice_is_one_hold(serving: Site) -> None:
    """A hold_id of the caller's own makes a repeat harmless."""
    acme = serving.account(1_000)
    with serving.client() as client:
        first = client.reserve(acme, {METER: 600}, hold_id="mine-" + acme.account_id)
        again = client.reserve(acme, {METER: 600}, hold_id="mine-" + acme.account_id)
        assert (first.status, again.status) == (Status.GRANTED, Status.GRANTED)
        assert client.show(acme).standings[0].held == 600


def test_an_account_of_an_organisation_is_found_without_naming_it(serving: Site) -> None:
    """The service says where the account is decided; the client follows, and remembers it. So does another process's
    confirm, which knows the account only.
    """
    acme = serving.account(1_000, organisation="org-" + os.urandom(4).hex())
    with serving.client() as client, serving.client() as other:
        answer = granted(client.reserve(acme, {METER: 900}))
        assert client.check(acme, {METER: 200}).status is Status.DENIED
        assert other.confirm(answer.hold_id, {METER: 100}, subject=acme).status is Status.SETTLED
        assert granted(client.reserve(acme, {METER: 900})).is_granted


def test_many_threads_share_a_client_and_never_overdraw(serving: Site) -> None:
    """Sixteen callers at once: each gets its own answer, and 1,000 are given out, no more."""
    acme = serving.account(1_000)

    def spend(_: int) -> int:
        answer = client.reserve(acme, {METER: 30})
        return 30 if answer.is_granted else 0

    with serving.client() as client, ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(spend, range(64))) == 990


def test_another_process_must_say_whose_hold_it_is(serving: Site) -> None:
    """Without the subject nobody can say where a hold is decided; an unknown one is told so."""
    with serving.client() as client:
        with pytest.raises(Misconfigured, match="subject"):
            client.confirm("unheard-of", {})
        answer = client.confirm("unheard-of", {}, subject=Subject(account_id="nobody"))
        assert answer.status is Status.UNKNOWN_HOLD
        with pytest.raises(Misconfigured, match="no hold unheard-of"):
            granted(answer)


def test_a_quote_without_history_says_what_to_do(serving: Site) -> None:
    """Nobody can say what a run uses; amounts of one's own are held instead."""
    acme = serving.account(1_000)
    with serving.client() as client:
        with pytest.raises(Misconfigured, match="otherwise"):
            client.reserve_quote(acme, "digest")
        answer = client.reserve_quote(acme, "digest", "p95", otherwise={METER: 100})
        assert answer.amounts == {METER: Decimal(100)}


def test_nobody_answers_in_time_and_nothing_leaks(new_site: Callable[[], Site]) -> None:
    """Without a service: a clear error that names the mend. When it comes back, the hold is not there."""
    site = new_site()
    acme = site.account(1_000)
    with site.client() as client:
        with pytest.raises(QuotaUnavailable, match="taximeter quota service"):
            client.reserve(acme, {METER: 1_000}, timeout=0.5)
        site.start()
        assert wait_until(lambda: client.check(acme, {METER: 1_000}).is_granted, 30)


def test_topics_that_are_not_there_are_named(serving: Site) -> None:
    """The mend is to create them."""
    topics = TopicSettings(quota_commands="test.not.there", quota_answers="test.nor.this")
    client = QuotaClient(Asker(serving.kafka, topics), QuotaSettings())
    with client, pytest.raises(QuotaUnavailable, match="taximeter topics create"):
        client.show(Subject(account_id="acme"))


def test_a_broker_that_is_not_there_is_named() -> None:
    """The mend is to start it, or to name another."""
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    client = QuotaClient(Asker(kafka, TopicSettings()), QuotaSettings())
    with client, pytest.raises(QuotaUnavailable, match="KAFKA_BOOTSTRAP_SERVERS"):
        client.show(Subject(account_id="acme"))


def test_closing_leaves_no_thread(serving: Site) -> None:
    """And what comes later is told that it is closed."""
    before = set(threading.enumerate())
    client = serving.client()
    client.show(Subject(account_id="nobody"))
    client.close()
    client.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(QuotaUnavailable, match="closed"):
        client.show(Subject(account_id="nobody"))


def test_async_calls_share_one_thread(serving: Site) -> None:
    """A hundred reservations at once on one loop: no thread for a call, every answer to its own caller."""
    acme = serving.account(1_000)

    async def work() -> int:
        async with AsyncQuotaClient(serving.client().asker, QuotaSettings(answer_seconds=30)) as client:
            await client.show(acme)
            before = threading.active_count()
            answers = await asyncio.gather(*(client.reserve(acme, {METER: 15}) for _ in range(100)))
            assert threading.active_count() == before
            held = [answer for answer in answers if answer.is_granted]
            await asyncio.gather(*(client.confirm(answer, {METER: 1}) for answer in held))
            assert (await client.show(acme)).standings[0].used == len(held)
            return len(held)

    assert asyncio.run(work()) == 66


def test_a_task_that_is_cancelled_lets_go_of_its_hold(serving: Site) -> None:
    """The reservation may be granted a moment later; its release follows it, and all can be had again."""
    acme = serving.account(1_000)

    async def work() -> bool:
        async with AsyncQuotaClient(serving.client().asker, QuotaSettings(answer_seconds=30)) as client:
            await client.show(acme)
            task = asyncio.create_task(client.reserve(acme, {METER: 1_000}))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                if (await client.reserve(acme, {METER: 1_000})).is_granted:
                    return True
            return False

    assert asyncio.run(work())


def test_a_forked_child_asks_by_a_line_and_leases_of_its_own(serving: Site) -> None:
    """Neither draws from the other's lease: together they stay within the limit, and both can still ask."""
    acme = serving.account(100)
    with QuotaGate(serving.client(lease_checks=2)) as gate:
        assert gate.check(acme, {METER: 20}).allowed
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            allowed = sum(gate.check(acme, {METER: 20}).allowed for _ in range(5))
            gate.close()
            os.write(writing, bytes([allowed]))
            os._exit(0)
        allowed = os.read(reading, 1)[0]
        assert os.waitpid(child, 0)[1] == 0
        os.close(reading)
        os.close(writing)
        mine = 1 + sum(gate.check(acme, {METER: 20}).allowed for _ in range(5))
        assert allowed + mine <= 5
        assert min(allowed, mine) >= 1


@pytest.mark.parametrize("policy", [OnOutage.CLOSED, pytest.param(OnOutage.OPEN, marks=pytest.mark.long)])
def test_without_the_service_executors_go_on_within_their_leases(
    new_site: Callable[[], Site], policy: OnOutage
) -> None:
    """Four executors (gates) on one account, the service stopped: what they give out stays within what they have
    leased, so within the limit; then the policy of the limit holds. Back again, all of it is counted.
    """
    site = new_site()
    site.start()
    acme = site.account(10_000, on_outage=policy)
    gates = [QuotaGate(site.client(lease_seconds=4, lease_checks=20, answer_seconds=2)) for _ in range(4)]
    spent = sum(_spend(gate, acme, 3) for gate in gates)
    leased = sum(gate.counters().leased[METER] for gate in gates)
    site.stop()
    while not any(gate.counters().opened_by_outage + gate.counters().closed_by_outage for gate in gates):
        spent += sum(_spend(gate, acme, 1) for gate in gates)
    overdrawn = sum(gate.counters().opened_by_outage for gate in gates) * 10
    assert spent - overdrawn <= 120 + leased <= 10_000
    if policy is OnOutage.CLOSED:
        assert overdrawn == 0
    site.start()
    assert wait_until(lambda: all(_spend(gate, acme, 1) and not gate.counters().silent for gate in gates), 60)
    opened = sum(gate.counters().opened_by_outage for gate in gates)
    allowed = sum(gate.counters().allowed for gate in gates)
    assert all(gate.close() for gate in gates)
    with site.client() as client:
        (standing,) = client.show(acme).standings
        assert standing.used + standing.held >= 10 * allowed
        assert standing.used + standing.held <= 10 * (allowed + opened) + leased


def _spend(gate: QuotaGate, subject: Subject, times: int) -> int:
    """Ten tokens each."""
    spent = 0
    for _ in range(times):
        with_ticket = gate.check(subject, {METER: 10})
        if with_ticket.allowed:
            with_ticket.done()
            spent += 10
    return spent


def test_an_async_gate_never_holds_up_the_loop(serving: Site) -> None:
    """While the first checks wait for their leases, the loop turns."""
    acme = serving.account(10_000)

    async def work() -> None:
        async with AsyncQuotaGate(QuotaGate(serving.client())) as gate:
            subjects = [Subject(account_id=acme.account_id, user_id=f"u{number}") for number in range(10)]
            turns = 0

            async def turn() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            turning = asyncio.create_task(turn())
            tickets = await asyncio.gather(*(gate.check(subject, {METER: 10}) for subject in subjects))
            turning.cancel()
            assert all(ticket.allowed for ticket in tickets)
            assert turns > 10
            async with await gate.reserve_run(acme, {METER: 500}) as run:
                assert run.check({METER: 100}).allowed
            for ticket in tickets:
                ticket.done()

    asyncio.run(work())
