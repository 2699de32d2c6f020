"""The servers that runs take place on: one stack that most runs share, and another for those that hurt it.

What holds: the servers end with this block, and with the harness however it ends. The data of runs that hold are
dropped at once; of others they stay, and with them the directory of the servers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path

from confluent_kafka.admin import AdminClient

from chaos.faults.fault import NotHere
from chaos.own_servers import OwnServers
from chaos.scenario import Outcome, Run, carry_out
from chaos.world import topics_of
from taximeter_consumers.clickhouse import connect
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_infra.topics import wanted
from taximeter_schemas.settings import ClickHouseSettings

Say = Callable[[str], None]
_MOST_RESTARTS = 4


class Servers:
    """Starts servers when a run needs them. `folder` holds the runs' data too."""

    def __init__(self, folder: Path, say: Say, *, keep: bool = False) -> None:
        self._folder = folder
        self._say = say
        self._keep = keep
        self._held = ExitStack()
        self._shared_stack: LocalStack | None = None
        self._own_stack: LocalStack | None = None
        self._own_held = ExitStack()
        self._kept = keep

    def carry_out(self, run: Run) -> Outcome:
        """Carries a run out on the servers that it needs, and drops its data if all held."""
        folder = self._folder / f"{run.fault.name}-{run.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        if run.fault.around is not None:
            outcome = self._alone(run, folder)
        else:
            stack = self._own() if run.fault.own_servers else self._shared()
            outcome = carry_out(run, stack.addresses, folder, OwnServers(stack) if run.fault.own_servers else None)
            outcome.servers = stack.plan.data_dir
            if outcome.green and not self._keep:
                _drop(stack.addresses, outcome.database)
            self._kept = self._kept or not outcome.green
        if (outcome.green or outcome.skipped) and not self._keep:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    def forget(self) -> None:
        """The data of all runs so far may go: they were meant to fail, and did."""
        self._kept = self._keep
        if not self._keep:
            for run in self._folder.glob("*-*"):
                shutil.rmtree(run, ignore_errors=True)

    def close(self) -> None:
        """Stops the shared servers; their directory stays only where it holds data of a failure."""
        with self._held, self._own_held:
            pass
        if not self._kept:
            for name in ("servers", "own-servers"):
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def _shared(self) -> LocalStack:
        if self._shared_stack is None:
            self._say("starting the broker and ClickHouse")
            stack = LocalStack(StackPlan.on_free_ports(self._folder / "servers"))
            self._shared_stack = self._held.enter_context(stack)
        return self._shared_stack

    def _own(self) -> LocalStack:
        """Servers that runs may hurt, one run after the other: they are replaced once they are worn."""
        if self._own_stack is not None and _worn(self._own_stack):
            self._own_held.close()
            self._own_stack = None
        if self._own_stack is None:
            self._say("starting a broker and a ClickHouse to be hurt")
            stack = LocalStack(StackPlan.on_free_ports(self._folder / "own-servers"))
            self._own_stack = self._own_held.enter_context(stack)
        return self._own_stack

    def _alone(self, run: Run, folder: Path) -> Outcome:
        """On servers that are started for this run, inside what it wants around them."""
        directory = folder / "servers"
        directory.mkdir(parents=True)
        try:
            with (
                (run.fault.around or nullcontext)(directory),
                LocalStack(StackPlan.on_free_ports(directory)) as stack,
            ):
                outcome = carry_out(run, stack.addresses, folder, OwnServers(stack))
                outcome.servers = directory
                return outcome
        except NotHere as reason:
            return Outcome(run, folder, skipped=str(reason))


def _worn(stack: LocalStack) -> bool:
    # A stack gives up on a server that dies too often within a minute.
    return any(health.state != "up" or health.restarts >= _MOST_RESTARTS for health in stack.poll())


def _drop(addresses: StackAddresses, database: str) -> None:
    if not database:
        return
    topics = topics_of(database)
    admin = AdminClient({"bootstrap.servers": addresses.bootstrap_servers})
    names = [spec.name for spec in wanted(topics)]
    for deleted in admin.delete_topics(names).values():
        deleted.result()
    with closing(connect(ClickHouseSettings(url=addresses.clickhouse_url), database="default")) as clickhouse:
        clickhouse.execute(f"DROP DATABASE IF EXISTS `{database}` SYNC")


@contextmanager
def open_servers(folder: Path, say: Say, *, keep: bool = False) -> Iterator[Servers]:
    """Servers for the runs of one block; `keep` keeps all data."""
    servers = Servers(folder, say, keep=keep)
    try:
        yield servers
    finally:
        servers.close()
