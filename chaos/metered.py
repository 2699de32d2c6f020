"""`python -m chaos.metered`: an executor with a real meter, as its environment describes it, and a journal.

It runs nodes drawn from a seed until SIGTERM, then closes the meter, and ends with 0. Killed at any point it loses what
its meter held in memory, and nothing that stands in the journal as spooled. It never starts again with the
same journal: its successor has one of its own, and finds what was left in the spool.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Final

from chaos.meter_journal import MeterJournal
from chaos.nodes import carried_out, drawn
from taximeter import Meter
from taximeter.quota import QuotaGate
from taximeter.spool import Spool

_GROUP: Final = 20


def watch_spool(journal: MeterJournal) -> None:
    """From now on spools tell the journal what they have accepted before their caller knows; else they are as ever."""
    append = Spool.append

    def watched(self: Spool, records: Sequence[tuple[bytes, bytes]]) -> int:
        accepted = append(self, records)
        if accepted:
            journal.spooled(value for _, value in records[:accepted])
        return accepted

    Spool.append = watched  # type: ignore[method-assign]  # in this process alone


def main(argv: Sequence[str]) -> int:
    """Exit 0 when it was told to end and the meter is closed."""
    options = _parse(argv)
    logging.basicConfig(level=logging.INFO)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    journal = MeterJournal(options.journal)
    watch_spool(journal)
    meter = Meter.from_environment()
    gate = QuotaGate.from_environment() if options.gate else None
    nodes = drawn(options.seed, options.journal.stem)
    began, sent = time.monotonic(), 0
    while not told.is_set():
        if not options.rate:
            told.wait()
            break
        group = list(islice(nodes, _GROUP))
        journal.nodes(group)
        dropped, before = [], meter.counters().dropped
        for node in carried_out(meter, group, gate, journal.refused):
            after = meter.counters().dropped
            # Only what no room was found for: the rest is counted on another thread, and was accepted.
            if after.get("full", 0) > before.get("full", 0):
                dropped.append(node.number)
            before = after
        if dropped:
            journal.dropped(dropped)
        sent += len(group)
        told.wait(max(0.0, began + sent / options.rate - time.monotonic()))
    if gate is not None:
        gate.close()
    meter.close(options.close_seconds)
    journal.closed(asdict(meter.counters()))
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.metered")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="nodes a second; 0: none, it only empties the spool")
    parser.add_argument("--close-seconds", type=float, default=10.0, help="how long closing waits for the broker")
    parser.add_argument("--gate", action="store_true", help="every node asks a quota gate first")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
