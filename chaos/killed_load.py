"""`python -m chaos.killed_load --events 1000000`: a load of events whose sink is killed (kill -9) every three seconds.

A producer sends at a rate; sinks take each other's place until everything is stored, and the last may end in peace.
What must hold then: every event once in storage, without a physical copy, every event and token in the rollups, and
both audits closed.

Exit 0: all held; 3: something did not. All that it starts ends with it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing

from chaos import shadow_traffic
from chaos.shadow_replay import Findings, Proof, carry_out
from taximeter_consumers.clickhouse import connect

_SEED = 7
# The one that comes next is the same member of the group, so it need not wait until the dead one's session is over.
_SINK = {"TAXIMETER_SINK_INSTANCE_ID": "killed"}
_COPIES = "SELECT toInt64(count()) - toInt64(uniqExact(kafka_partition, kafka_offset)) FROM stored_events"


class KilledLoad(Proof):
    """One run on servers of its own."""

    def run(self) -> Findings:
        """All of it. Raises what could not be tried."""
        found, options = self.findings, self._options
        self._must("migrate")
        self._must("topics", "create")
        sending = threading.Thread(target=self._send, name="sending", daemon=True)
        found.timed("load", lambda: self._kill_while(sending))
        found.timed("sink", lambda: self._must("sink", "--until-caught-up", environment=_SINK))
        with closing(connect(self.clickhouse)) as clickhouse:
            copies = int(clickhouse.scalar(_COPIES))
        found.expect(copies == 0, f"{copies} physical copies are stored")
        found.timed("aggregate", lambda: self._must("aggregate"))
        found.expect(self._sent.events == options.events, f"{self._sent.events} events were sent")
        self._require_totals(self._sent.events, self._sent.tokens)
        found.events = self._sent.events
        found.timed("audits", lambda: (self._must("audit", "--ingest"), self._must("audit")))
        return found

    def _send(self) -> None:
        options, began = self._options, time.monotonic()
        sender = shadow_traffic.Sender(self.kafka, self.topic)
        plan = shadow_traffic.backlog(_SEED, options.events)
        for number, message in enumerate(shadow_traffic.in_order(plan, options.events)):
            sender.send(*message)
            if number % 500 == 0:
                time.sleep(max(0.0, number / options.rate - (time.monotonic() - began)))
        self._sent = sender.finish()

    def _kill_while(self, sending: threading.Thread) -> None:
        self._sent = shadow_traffic.Sent()
        sending.start()
        while sending.is_alive():
            sink = self._start("sink", "sink", environment=_SINK)
            time.sleep(self._options.every)
            self.findings.expect(sink.running, f"a sink ended by itself:\n{sink.log()[-2_000:]}")
            sink.kill()
            self.findings.kills += 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it and says what it found."""
    parser = argparse.ArgumentParser(prog="python -m chaos.killed_load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="how many are sent [default: 200000]")
    parser.add_argument("--rate", type=float, default=10_000.0, help="how many a second [default: 10000]")
    parser.add_argument("--every", type=float, default=3.0, help="seconds from kill to kill [default: 3]")
    parser.add_argument("--keep", action="store_true", help="keep servers' data and logs")
    options = parser.parse_args(argv)
    return carry_out(KilledLoad, "killed", options)


if __name__ == "__main__":
    sys.exit(main())
