"""The log of commands decided once more, without any crash: what every service together must have come to.

It is the product's own machine, so it proves nothing about counting (`chaos.quota.recount` does); it proves that kills,
take-overs and zombies changed no decision and no record of state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taximeter_consumers.quota.machine.effects import Raise, Reply
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_consumers.quota.machine.records import PARTITION, meta_of
from taximeter_schemas.quota.answers import Alert, Answer

if TYPE_CHECKING:
    from chaos.quota.evidence import Logged


@dataclass(frozen=True)
class Replay:
    """Answers by command, every alert, and the records of each partition as of its last checkpoint."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    alerts: Sequence[Alert] = ()
    records: Mapping[int, Mapping[str, bytes]] = field(default_factory=dict)


def replayed(commands: Sequence[Logged], state: Mapping[int, Mapping[str, bytes]], partitions: int) -> Replay:
    """As far as the state goes. `commands` in the order of their places."""
    answers: dict[str, Answer] = {}
    alerts: list[Alert] = []
    records: dict[int, Mapping[str, bytes]] = {}
    for number, kept in state.items():
        machine = Machine(number, partitions)
        end = meta_of(kept[PARTITION]).next_offset
        for logged in commands:
            if logged.partition != number or logged.offset >= end:
                continue
            for effect in machine.apply(logged.command, logged.at, logged.offset):
                if isinstance(effect, Reply):
                    answers[effect.answer.command_id] = effect.answer
                elif isinstance(effect, Raise):
                    alerts.append(effect.alert)
        records[number] = machine.records()
    return Replay(answers, alerts, records)
