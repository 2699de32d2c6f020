"""The world of docs/operations.md: every service on a real broker and a real ClickHouse, use of some accounts, and some
records that cannot be stored."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer
from tests.api.new_key import new_key
from tests.quota.sdk.conftest import Site

from taximeter_consumers.api.keys import ALL_ACCOUNTS, Scope
from taximeter_consumers.clickhouse import connect
from taximeter_consumers.pricing.sync import load_book
from taximeter_infra.simulate.generator import events as simulated
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import EventSender, Pacing
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.registry import PackagedRegistry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
ACCOUNT, USER = "acct-001", "user-001"
_PLAN = SimulationPlan(300, 11, accounts=3, start=datetime.now(UTC) - timedelta(days=2), pace=300 / 86_400)
_POISON = 5


def blocks(text: str) -> list[str]:
    """The page's shell blocks, as printed."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@contextmanager
def runbook_world(site: Site, folder: Path) -> Iterator[dict[str, str]]:
    """Starts it; what a shell of its operator has as environment. All of it ends with the block."""
    (port,) = free_ports(1)
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAXIMETER", "KAFKA", "CLICKHOUSE"))
        },
        **site.environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
        "TAXIMETER_DATA_DIR": str(folder / "data"),
        "TAXIMETER_SINK_GROUP_ID": site.topics.events,
        "TAXIMETER_QUOTA_GROUP_ID": site.topics.events,
        # Of so few records five are a flood.
        "TAXIMETER_SINK_POISON_RATE": "1",
        "TAXIMETER_API_URL": f"http://127.0.0.1:{port}",
        "ACCOUNT": ACCOUNT,
        "USER_ID": USER,
        "PARTITION": "0",
    }
    with ExitStack() as held:
        load_book(site.clickhouse)
        site.start()
        held.callback(site.stop)
        for name, *options in (("sink",), ("aggregate", "--follow", "--interval", "0.2"), ("api", "--port", str(port))):
            argv = (sys.executable, "-m", "taximeter_infra", name, *options)
            child = Child.start(ChildSpec(name, argv, site.logs / f"{name}.log", environment=environment))
            held.callback(child.stop)
        _use(site)
        key = new_key(site.clickhouse, ALL_ACCOUNTS, frozenset({Scope.READ, Scope.ADMIN}))
        yield {**environment, "TAXIMETER_API_KEY": key, "LETTER": _letter(environment, folder)}


def run(block: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """One block in a shell of its own, which ends at the first command that fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def _letter(environment: dict[str, str], folder: Path) -> str:
    """The place of a dead letter, as the list names it."""
    done = run("taximeter dlq list --json", environment, folder)
    return str(json.loads(done.stdout)["groups"][0]["example"])


def _use(site: Site) -> None:
    sent = list(simulated(_PLAN))
    outcome = EventSender(site.kafka, PackagedRegistry(), site.topics.events).send(sent, Pacing(), lambda _: None)
    assert outcome.acknowledged == len(sent)
    producer = Producer(site.kafka.client_config())
    for number in range(_POISON):
        producer.produce(site.topics.events, key=ACCOUNT.encode(), value=b"not framed %d" % number)
    assert producer.flush(30) == 0
    with closing(connect(site.clickhouse_settings)) as clickhouse:

        def shown() -> bool:
            letters = int(clickhouse.scalar("SELECT sum(dead_lettered) FROM ingest_batches"))
            return letters == _POISON and int(clickhouse.scalar("SELECT sum(events) FROM run_costs")) == len(sent)

        assert wait_until(shown, 120), "the use does not show"
