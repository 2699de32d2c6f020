"""What the doctor looks at, gathered without a judgement. Nothing is started or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from taximeter_infra.stack.broker_choice import Machine
from taximeter_infra.stack.clickhouse import installed_wheel
from taximeter_infra.stack.java import find_java, find_maven
from taximeter_infra.stack.kafka_jars import cache_dir, is_complete
from taximeter_infra.stack.lock import holder, is_held
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.stack.room import free_bytes, port_is_free
from taximeter_infra.stack.tansu import tansu_installed, tansu_version

DOCKER_SECONDS = 10


@dataclass(frozen=True)
class Facts:
    """Everything that was looked at. `ports`: name, number, whether it is free; only of the servers we would start."""

    python: tuple[int, int, int]
    machine: Machine
    maven: str | None
    jars: str
    tansu: str | None
    wheel: str | None
    ports: tuple[tuple[str, int, bool], ...]
    data_dir_writable: bool
    disk_free: int
    memory_available: int | None
    lock_held: bool
    lock_pid: int | None
    docker: str | None


def gather(plan: StackPlan) -> Facts:
    """Look at the machine."""
    maven, tansu = find_maven(), tansu_installed()
    return Facts(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        machine=Machine(find_java(), maven is not None, is_complete(cache_dir()), tansu),
        maven=maven,
        jars=str(cache_dir()),
        tansu=tansu_version() if tansu else None,
        wheel=installed_wheel(),
        ports=tuple((name, port, port == 0 or port_is_free(port)) for name, port in _wanted_ports(plan)),
        data_dir_writable=_writable(plan.data_dir),
        disk_free=free_bytes(plan.data_dir),
        memory_available=available_memory(),
        lock_held=is_held(plan.data_dir),
        lock_pid=holder(plan.data_dir),
        docker=docker_engine(),
    )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that a new process could get without swapping; None where the kernel does not say."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    amounts = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(amounts[0]) * 1024 if amounts else None


def docker_engine() -> str | None:
    """The version of the Docker engine that answers, or None."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the Docker of this machine
            [docker, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=DOCKER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _wanted_ports(plan: StackPlan) -> list[tuple[str, int]]:
    broker = [("Kafka", plan.kafka_port), ("Kafka's controller", plan.controller_port)]
    engine = [("ClickHouse HTTP", plan.clickhouse_http_port), ("ClickHouse native", plan.clickhouse_tcp_port)]
    return (broker if plan.kafka is None else []) + (engine if plan.clickhouse is None else [])


def _writable(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
