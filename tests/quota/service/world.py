"""A quota service's surroundings: topics and a database of the test's own, a caller that asks, and services to kill."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.quota.service.counters import QuotaCounters
from taximeter_consumers.quota.service.service import QuotaEnvironment, run_service
from taximeter_consumers.quota.service.settings import QuotaSettings
from taximeter_schemas.quota.answers import Answer, answer_of
from taximeter_schemas.quota.commands import Command, Facts, LevelFacts, Reserve, encoded, root_of
from taximeter_schemas.quota.limits import Rule, Window
from taximeter_schemas.quota.subject import Subject, partition_of
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

PARTITIONS = 4
HOUR = 3_600_000_000
numbers = itertools.count()


def reserve(account: str, amount: int, hold_id: str | None = None, **given: object) -> Reserve:
    """Total tokens of an account."""
    number = next(numbers)
    return Reserve.model_validate(
        {
            "command_id": f"c{number}",
            "caller": "test",
            "answer_to": 0,
            "wait_ms": 60_000,
            "subject": Subject(account_id=account),
            "hold_id": hold_id or f"h{number}",
            "amounts": {"total_tokens": Decimal(amount)},
            **given,
        }
    )


def facts(account: str, limit: int, *, used: int = 0, as_of: int | None = None) -> Facts:
    """An account with a limit of tokens in a run's window, so that no calendar counts; newer than what a tick says."""
    level = f"account/{account}"
    rule = Rule(limit_id="most", meter="total_tokens", window=Window.RUN, amount=Decimal(limit))
    usage = {"total_tokens": {0: Decimal(used)}}
    moment = as_of or time.time_ns() // 1_000 + HOUR
    return Facts(root=level, as_of=moment, levels={level: LevelFacts(rules=(rule,), usage=usage)})


@dataclass
class World:
    """Where one test's commands go."""

    kafka: KafkaSettings
    clickhouse_settings: ClickHouseSettings
    topics: TopicSettings
    group: str
    clickhouse: ClickHouse
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._producer = Producer({**self.kafka.client_config(), "linger.ms": 0})
        self._answers = self.reader()
        self._answers.assign([TopicPartition(self.topics.quota_answers, 0, OFFSET_BEGINNING)])

    def close(self) -> None:
        """Lets go of Kafka."""
        self._answers.close()
        self._producer.close()

    def reader(self) -> Consumer:
        """Reads what is committed, in no group."""
        return Consumer(
            {
                **self.kafka.client_config(),
                "group.id": f"{self.group}.reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )

    def send(self, *commands: Command) -> None:
        """Puts commands into their partitions and waits until all are acknowledged."""
        for command in commands:
            self.put(encoded(command), partition_of(root_of(command), PARTITIONS))

    def put_soon(self, command: Command) -> None:
        """Sends one of many; the next `send` waits for all."""
        partition = partition_of(root_of(command), PARTITIONS)
        self._producer.produce(self.topics.quota_commands, value=encoded(command), partition=partition)
        self._producer.poll(0)

    def put(self, value: bytes | None, partition: int) -> None:
        """Puts any record there."""
        failures: list[KafkaError] = []
        self._producer.produce(
            self.topics.quota_commands,
            value=value,
            partition=partition,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        assert self._producer.flush(30) == 0
        assert failures == []

    def ask(self, *commands: Command, timeout: float = 60.0) -> list[Answer]:
        """Sends commands and waits for the first answer to each, in their order."""
        self.send(*commands)
        return self.wait_for([command.command_id for command in commands if not isinstance(command, Facts)], timeout)

    def wait_for(self, ids: Sequence[str], timeout: float = 60.0) -> list[Answer]:
        """The first answers to these commands."""
        end = time.monotonic() + timeout
        while not all(one in self.answers for one in ids):
            missing = [one for one in ids if one not in self.answers]
            assert time.monotonic() < end, f"no answer to {missing}"
            self._take(self._answers.poll(0.1))
        return [self.answers[one][0] for one in ids]

    def all_answers(self) -> Mapping[str, list[Answer]]:
        """Every answer that lies in the topic by now."""
        while True:
            message = self._answers.poll(5)
            assert message is not None, "the answers cannot be read"
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return self.answers
            self._take(message)

    def records(self, topic: str, partitions: int) -> list[Message]:
        """All committed records of a topic."""
        reader, found, ended = self.reader(), list[Message](), 0
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
        while ended < partitions:
            message = reader.poll(30)
            assert message is not None, f"{topic} cannot be read"
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended += 1
        reader.close()
        return found

    def settings(self, **given: object) -> QuotaSettings:
        """Small and quick, for tests."""
        return QuotaSettings.model_validate(
            {"group_id": self.group, "session_timeout_ms": 3_000, "tick_seconds": 0.2, **given}
        )

    def environment(self, clickhouse: ClickHouseSettings | None = None) -> QuotaEnvironment:
        """All that a service talks to."""
        return QuotaEnvironment(self.kafka, clickhouse or self.clickhouse_settings, self.topics)

    def run(self, **settings: object) -> QuotaCounters:
        """Runs a service in this process until it has caught up."""
        return run_service(self.environment(), self.settings(**settings), threading.Event(), until_caught_up=True)

    @contextmanager
    def service(self, clickhouse: ClickHouseSettings | None = None, **settings: object) -> Iterator[threading.Event]:
        """A service on a thread, as a process runs it; stopped at the end. Raises what it died of."""
        stop, died = threading.Event(), list[BaseException]()

        def run() -> None:
            try:
                run_service(self.environment(clickhouse), self.settings(**settings), stop)
            except Exception as error:  # noqa: BLE001 - handed to the test below
                died.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join()
        assert died == []

    def process(
        self, *options: str, words: Sequence[str] = ("quota", "service"), grouped: bool = True, **variables: str
    ) -> Process:
        """`taximeter quota service` as an operator starts it."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CLICKHOUSE_URL": self.clickhouse_settings.url.get_secret_value(),
            "CLICKHOUSE_DATABASE": self.clickhouse_settings.database,
            "TAXIMETER_TOPIC_EVENTS": self.topics.events,
            "TAXIMETER_TOPIC_QUOTA_COMMANDS": self.topics.quota_commands,
            "TAXIMETER_TOPIC_QUOTA_ANSWERS": self.topics.quota_answers,
            "TAXIMETER_TOPIC_QUOTA_STATE": self.topics.quota_state,
            "TAXIMETER_TOPIC_ALERTS": self.topics.alerts,
            "TAXIMETER_QUOTA_SESSION_TIMEOUT_MS": "3000",
            "TAXIMETER_QUOTA_TICK_SECONDS": "0.2",
            **variables,
        }
        group = ("--group", self.group) if grouped else ()
        command = [sys.executable, "-m", "taximeter_infra", *words, *group, *options]
        return Process(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def _take(self, message: Message | None) -> None:
        if message is None or message.error() is not None:
            return
        answer = answer_of(message.value() or b"")
        self.answers.setdefault(answer.command_id, []).append(answer)


class Process(subprocess.Popen[bytes]):
    """A child that does not outlive its test."""

    def __exit__(self, *ended: object) -> None:
        """Kills it if it still runs."""
        self.kill()
        self.communicate()


def statuses(answers: Iterable[Answer]) -> list[str]:
    """What became of them."""
    return [answer.status.value for answer in answers]
