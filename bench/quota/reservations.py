"""Reservations through the real service: how long each takes, and whether many at once can overdraw a limit."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from decimal import Decimal

from bench.quota.service import LIMITS, METER, Serving, subject_of
from taximeter.quota import QuotaClient
from taximeter_schemas.errors import Retryable

_CLIENTS = 4


def reservations(client: QuotaClient, count: int) -> list[float]:
    """Seconds of each; all are released, outside of the measured time."""
    subject, taken = subject_of("bench-wide"), []
    for _ in range(count):
        began = time.perf_counter()
        answer = client.reserve(subject, {METER: 1_000})
        taken.append(time.perf_counter() - began)
        if not answer.is_granted:
            raise RuntimeError(f"a reservation was {answer.status}, so the times mean nothing")
        client.release(answer)
    return taken


def overshoot(serving: Serving, callers: int, amount: int) -> int:
    """By how much so many callers at once overdraw a limit: each reserves and confirms until it is denied."""
    account_id = "bench-tight"
    subject, limit = subject_of(account_id), LIMITS[account_id]
    gate, lock, granted, failures = threading.Barrier(callers), threading.Lock(), [Decimal(0)], []

    def spend(client: QuotaClient) -> None:
        gate.wait()
        try:
            while True:
                answer = client.reserve(subject, {METER: amount})
                if not answer.is_granted:
                    return
                with lock:
                    granted[0] += answer.amounts[METER]
                client.confirm(answer, {METER: amount})
        except Retryable as error:
            failures.append(error)

    with ExitStack() as held:
        clients = [held.enter_context(serving.client()) for _ in range(_CLIENTS)]
        threads = [threading.Thread(target=spend, args=(clients[n % _CLIENTS],)) for n in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = clients[0].show(subject).standings[0].remaining
    if failures:
        raise failures[0]
    if left >= amount:
        raise RuntimeError(f"{left} were left when all were denied, so the overshoot means nothing")
    return int(max(Decimal(0), granted[0] - limit))
