"""The life of a stack: nothing outlives it, it shares its directory with nobody, it mends itself, it can detach."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stack.processes import all_gone, descendants, parents

from taximeter_infra.stack.clickhouse import ClickHousePart
from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.daemon import start_detached
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.lock import holder, is_held
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_infra.stack.probes import ask_parts
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.running import find_running, stop_running
from taximeter_infra.stack.supervisor import Supervisor
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Misconfigured

pytestmark = pytest.mark.integration


def plan(data_dir: Path) -> StackPlan:
    """A light stack of the test's own: Tansu starts in a moment."""
    return StackPlan.on_free_ports(data_dir, "tansu")


def owner_of(addresses: StackAddresses) -> Endpoint:
    """The ClickHouse user `taximeter`."""
    return Endpoint.of_url(addresses.clickhouse_url.get_secret_value())


@pytest.mark.parametrize("broker", ["auto", "tansu"])
def test_killed_supervisor_leaves_no_child(data_dir: Path, broker: str) -> None:
    """After kill -9 of the process that holds the stack, every process it started ends, and a new start succeeds."""
    wanted = StackPlan.on_free_ports(data_dir, "tansu" if broker == "tansu" else "auto")
    start_detached(wanted)
    pid = holder(data_dir)
    assert pid is not None
    family = descendants(pid)
    assert len(family) == 4, "two wardens and two servers"
    os.kill(pid, signal.SIGKILL)
    assert all_gone(family | {pid})
    assert find_running(data_dir) is None
    assert not is_held(data_dir)


def test_killed_warden_takes_its_server_along(data_dir: Path) -> None:
    """After kill -9 of every warden no server lives on: the kernel ends it, or the supervisor replaces it."""
    with LocalStack(plan(data_dir)) as stack:
        servers = {part.pid for part in stack.poll() if part.pid is not None}
        known = parents()
        for server in servers:
            os.kill(known[server], signal.SIGKILL)
        assert all_gone(servers)


def test_port_clash_names_the_port(data_dir: Path) -> None:
    """A taken port is named with the option that mends it, and nothing is left running or locked."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        before = descendants(os.getpid())
        with pytest.raises(Misconfigured, match=f"port {port}") as caught:
            LocalStack(StackPlan(data_dir, None, None, "tansu", 0, 0, port, 0)).start()
        assert "--clickhouse-http-port" in caught.value.mend
    assert all_gone(descendants(os.getpid()) - before)
    assert not is_held(data_dir)


def test_one_stack_per_directory(data_dir: Path) -> None:
    """A second stack on the same directory is refused with the pid and the way to stop the first, which lives on."""
    with LocalStack(plan(data_dir)) as stack:
        with pytest.raises(Misconfigured, match=f"pid {os.getpid()}") as caught:
            LocalStack(plan(data_dir)).start()
        assert "taximeter down" in caught.value.mend
        assert all(part.state == "up" for part in ask_parts(stack.addresses))
        assert find_running(data_dir) == stack.addresses
        assert (data_dir / "stack.json").stat().st_mode & 0o777 == 0o600
    assert find_running(data_dir) is None


def test_second_server_on_the_same_clickhouse_directory(data_dir: Path) -> None:
    """The engine itself refuses a directory in use, the error says so, and the first server lives on."""
    with LocalStack(plan(data_dir)) as stack:
        with pytest.raises(Misconfigured, match="another ClickHouse server"):
            Supervisor(lambda _: None).start([ClickHousePart(data_dir, *free_ports(2))])
        assert owner_of(stack.addresses).ask("SELECT 1").ok


def test_acknowledged_rows_survive_kill_9_of_clickhouse(data_dir: Path) -> None:
    """A killed ClickHouse is started again on the same address, with every row that it acknowledged."""
    told: list[str] = []
    stack = LocalStack(plan(data_dir))
    addresses = stack.start(told.append)
    try:
        owner = owner_of(addresses)
        for sql in ("CREATE DATABASE metering", "CREATE TABLE metering.kept (n UInt64) ENGINE = MergeTree ORDER BY n"):
            assert owner.ask(sql, timeout=20).ok
        for number in range(20):
            assert owner.ask(f"INSERT INTO metering.kept VALUES ({number})", timeout=20).ok
        server = next(part.pid for part in stack.poll() if part.name == "clickhouse")
        assert server is not None
        os.kill(server, signal.SIGKILL)
        assert wait_until(lambda: stack.poll()[1].restarts == 1 and stack.poll()[1].state == "up", 30)
        assert owner.ask("SELECT count(), sum(n) FROM metering.kept", timeout=20).text == "20\t190"
        assert any("clickhouse died; starting it again" in line for line in told)
        assert stack.alive
    finally:
        stack.stop()


def test_dead_tansu_is_down_for_good(data_dir: Path) -> None:
    """Tansu is not started again: it would pass lost events off as a working broker."""
    with LocalStack(plan(data_dir)) as stack:
        broker = stack.poll()[0].pid
        assert broker is not None
        os.kill(broker, signal.SIGKILL)
        assert wait_until(lambda: not stack.alive, 30)
        assert "not started again" in stack.poll()[0].detail


def test_detached_and_down(data_dir: Path) -> None:
    """A detached stack outlives its starter's call, answers, runs the hook, and is stopped from elsewhere."""
    told: list[str] = []
    hooked: list[StackAddresses] = []
    addresses = start_detached(plan(data_dir), told.append, hooked.append)
    pid = holder(data_dir)
    assert pid not in {None, os.getpid()}
    assert hooked == [addresses]
    assert find_running(data_dir) == addresses
    assert "warning" in told[0]
    family = descendants(pid or 0)
    assert stop_running(data_dir)
    assert all_gone(family)
    assert not stop_running(data_dir)


def test_failed_hook_stops_the_detached_stack(data_dir: Path) -> None:
    """When what must happen before use fails, no stack is left behind."""

    def broken(addresses: StackAddresses) -> None:
        raise Misconfigured("the migrations do not fit", mend="mend them")

    with pytest.raises(Misconfigured, match="migrations"):
        start_detached(plan(data_dir), on_ready=broken)
    assert not is_held(data_dir)


def test_detached_failure_is_told(data_dir: Path) -> None:
    """What a detached start could not do reaches its starter as the same error."""
    with LocalStack(plan(data_dir)), pytest.raises(Misconfigured, match="already running"):
        start_detached(plan(data_dir))


def test_up_in_foreground_stops_on_sigterm(data_dir: Path) -> None:
    """`taximeter up` ends with exit code 0 on SIGTERM, says so, and leaves nothing behind; argv holds no password."""
    code = (
        "import typer; from taximeter_infra.cli.stack import register; app = typer.Typer(); register(app);"
        " app(['up', '--broker', 'tansu', '--kafka-port', '0', '--controller-port', '0',"
        " '--clickhouse-http-port', '0', '--clickhouse-tcp-port', '0'])"
    )
    environment = {**os.environ, "TAXIMETER_DATA_DIR": str(data_dir)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        assert wait_until(lambda: find_running(data_dir) is not None or up.poll() is not None, 60)
        addresses = find_running(data_dir)
        assert addresses is not None, up.communicate()[0]
        password = owner_of(addresses).password
        family = descendants(up.pid)
        commands = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in family]
        up.terminate()
        said = up.communicate(timeout=60)[0]
    assert up.returncode == 0, said
    assert "the stack is stopped" in said
    assert password not in "".join(commands) + said
    assert all_gone(family)


def test_status_tells_programs(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`status --json` has no password, `status --env` has it because it was asked, and without a stack both fail."""
    import typer
    from typer.testing import CliRunner

    from taximeter_infra.cli.stack import register

    app = typer.Typer()
    register(app)
    command = ["status", "--data-dir", str(data_dir)]
    assert CliRunner().invoke(app, [*command, "--json"]).exit_code == 1
    with LocalStack(plan(data_dir)) as stack:
        answer = CliRunner().invoke(app, [*command, "--json"])
        exports = CliRunner().invoke(app, [*command, "--env"]).output
        password = owner_of(stack.addresses).password
    assert answer.exit_code == 0
    assert [part["state"] for part in json.loads(answer.output)["parts"]] == ["up", "up"]
    assert password not in answer.output
    assert password in exports
    assert f"export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{stack.plan.kafka_port}" in exports
