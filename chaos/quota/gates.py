"""`python -m chaos.quota.gates`: an executor with a real gate; its threads check, use what they were allowed, settle.

What a ticket allows stands in a journal before it is used, with the lease that it was drawn from. On SIGTERM the gate
is closed, its counters are written, and the process ends with 0. Killed, it leaves its leases to expire.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

from chaos.quota.call_journal import CallJournal
from taximeter.quota import QuotaGate, Subject

TOKENS = "total_tokens"
_OPENED = "fail open"


def check_on(gate: QuotaGate, journal: CallJournal, options: argparse.Namespace, thread: int) -> None:
    """One thread's work until it is told to end."""
    rng, subject = Random(f"{options.seed}/{options.journal.stem}/{thread}"), Subject(account_id=options.account)
    while not options.over.wait(rng.uniform(0.0, 2.0 / options.rate)):
        estimate = rng.randint(1, options.most)
        ticket = gate.check(subject, {TOKENS: estimate})
        if not ticket.allowed:
            options.over.wait(0.05)
            continue
        if rng.random() < 0.1:
            ticket.cancel()
            continue
        used = rng.randint(0, estimate)
        journal.used(ticket.transaction_id, used, opened=_OPENED in ticket.reason)
        ticket.done({TOKENS: used})


def main(argv: Sequence[str]) -> int:
    """Exit 0 when it was told to end and all is settled, 4 when the gate could not settle all."""
    parser = argparse.ArgumentParser(prog="python -m chaos.quota.gates")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--rate", type=float, default=60.0, help="checks a second of each thread, about")
    parser.add_argument("--most", type=int, default=100, help="tokens of one check")
    options = parser.parse_args(argv)
    options.over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: options.over.set())
    journal, gate = CallJournal(options.journal, options.account), QuotaGate.from_environment()
    threads = [threading.Thread(target=check_on, args=(gate, journal, options, at)) for at in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled = gate.close(20.0)
    journal.closed({**asdict(gate.counters()), "settled": settled})
    return 0 if settled else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
