"""Checks of a gate in-process, by one thread and by several at once: nanoseconds of each."""

from __future__ import annotations

import threading
import time

from bench.quota.service import METER, subject_of
from taximeter.quota import QuotaGate

_AMOUNTS = {METER: 100}


def open_gate(gate: QuotaGate) -> None:
    """Gets the first lease, so that what is measured is the answer and not the wait for it."""
    if not gate.open(subject_of("bench-wide"), {METER: 100_000}, timeout=30):
        raise RuntimeError("the gate got no lease")


def checks(gate: QuotaGate, threads: int, each: int) -> list[int]:
    """Every thread asks `each` times, and settles each ticket outside of the measured time."""
    taken: list[list[int]] = [[] for _ in range(threads)]
    workers = [threading.Thread(target=_ask, args=(gate, each, mine)) for mine in taken]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if sum(map(len, taken)) != threads * each:
        raise RuntimeError("a check was not allowed, so the times mean nothing")
    return [nanoseconds for mine in taken for nanoseconds in mine]


def _ask(gate: QuotaGate, each: int, taken: list[int]) -> None:
    subject, clock = subject_of("bench-wide"), time.perf_counter_ns
    for _ in range(each):
        began = clock()
        ticket = gate.check(subject, _AMOUNTS)
        nanoseconds = clock() - began
        if not ticket.allowed:
            return
        ticket.done({METER: 90})
        taken.append(nanoseconds)
