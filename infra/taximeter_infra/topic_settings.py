"""Topics as they are beside topics as they should be: what differs, whether it matters, and what would mend it. Pure.

A difference matters if events, answers or money could be lost by it, or if a part of the pipeline would not run. More
than was asked for (a longer retention, larger messages) is nobody's loss and only noted; somebody may have raised it by
hand, so it is brought down only for a topic that is named. What a mend could delete, or close, is marked as such: it is
never done unasked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taximeter_infra.topics import TopicSpec, TopicState
    from taximeter_schemas.settings import TopicSettings

APPLY: Final = "`taximeter topics create --apply`"
_REASSIGN: Final = "give it more replicas with kafka-reassign-partitions.sh, which comes with Kafka"
_FOR_EVER: Final = -1


class _Rule(Enum):
    EXACT = auto()
    AT_LEAST = auto()
    TUNING = auto()


# A setting without a rule is tuning: it decides how fast something goes, not whether.
_RULES: Final = {
    "cleanup.policy": _Rule.EXACT,
    "message.timestamp.type": _Rule.EXACT,
    "retention.ms": _Rule.AT_LEAST,
    "max.message.bytes": _Rule.AT_LEAST,
    "delete.retention.ms": _Rule.AT_LEAST,
    "min.insync.replicas": _Rule.AT_LEAST,
}
# Less of it, or another one, may delete records.
_DELETING: Final = frozenset({"cleanup.policy", "retention.ms", "delete.retention.ms"})
_DELETES: Final = "it may delete records"
_MOVES_KEYS: Final = (
    "keys then go to other partitions, so that events of a run that is under way may be read out of their order: no sum"
    " changes by that. Partitions cannot be taken away again"
)


@dataclass(frozen=True)
class Difference:
    """One setting of one topic. `value` is what `--apply` would set, None where it cannot.

    `deletes`: it may delete records; `closes`: no broker could then be away. Both want `--yes`. `is_spare`: more than
    was asked for, which is brought down with `--yes` and `--shrink`. `warning`: what to know before it is set.
    """

    topic: str
    setting: str
    found: str
    matters: bool
    said: str
    mend: str
    value: str | None = None
    deletes: bool = False
    is_spare: bool = False
    closes: bool = False
    warning: str = ""


def differences(
    topics: TopicSettings, specs: Sequence[TopicSpec], states: Sequence[TopicState], brokers: int
) -> list[Difference]:
    """Every difference of the topics that exist, in the order of `specs`."""
    present = {state.name: state for state in states}
    found: list[Difference] = []
    for spec in specs:
        state = present.get(spec.name)
        if state is not None:
            found += _of_config(spec, state)
            found += _of_replicas(spec, state, brokers)
            found += _of_partitions(topics, spec, state)
    found += _of_quota_partitions(topics, present)
    return found


def to_apply(found: Sequence[Difference], *, yes: bool = False, shrink: Collection[str] = ()) -> list[Difference]:
    """What is to be set. What may delete or close only with `yes`, what is spare only of the topics in `shrink` too."""
    return [one for one in found if one.value is not None and _is_allowed(one, yes=yes, shrink=shrink)]


def _is_allowed(one: Difference, *, yes: bool, shrink: Collection[str]) -> bool:
    if one.is_spare:
        return yes and one.topic in shrink
    return yes or not (one.deletes or one.closes)


def _of_config(spec: TopicSpec, state: TopicState) -> Iterator[Difference]:
    for setting, value in spec.config.items():
        found = state.config.get(setting)
        if found is None:
            said = f"{spec.name} does not say its {setting}, which should be {value}"
            yield Difference(spec.name, setting, "unknown", matters=False, said=said, mend="")
        elif setting == "min.insync.replicas" and state.replication_factor < _number(value):
            # To set it would be to close the topic.
            said = f"{spec.name} has {state.replication_factor} replicas, of which {value} cannot be in sync"
            yield Difference(spec.name, setting, found, matters=True, said=said, mend=_REASSIGN)
        elif setting == "min.insync.replicas" and _number(found) < _number(value) == state.replication_factor > 1:
            yield _closing(spec.name, found, value)
        elif not _same(found, value):
            yield _differing(spec.name, setting, found, value)
    size = state.config.get("retention.bytes", "-1")
    if size != "-1" and "delete" in state.cleanup_policy:
        said = f"{spec.name} is also cut to {size} bytes a partition (retention.bytes), whatever retention.ms says"
        mend = "see that this much lasts as long as the longest outage of whoever reads it"
        yield Difference(spec.name, "retention.bytes", size, matters=False, said=said, mend=mend)


def _differing(topic: str, setting: str, found: str, value: str) -> Difference:
    rule = _RULES.get(setting, _Rule.TUNING)
    is_more = rule is _Rule.AT_LEAST and _number(found) > _number(value)
    said = f"{topic} has {setting} {found}, not {value}"
    if is_more:
        deletes = setting in _DELETING
        warning = _DELETES if deletes else ""
        mend = f"nothing; to bring it down: {APPLY[:-1]} --yes --shrink {topic}`" + (f"; {warning}" if deletes else "")
        return Difference(topic, setting, found, False, said, mend, value, deletes, is_spare=True, warning=warning)
    # From one way of cleaning up to another: records that stood so far may go.
    deletes = setting == "cleanup.policy"
    warning = _DELETES if deletes else ""
    mend = f"{APPLY[:-1]} --yes`; {warning}" if deletes else APPLY
    return Difference(topic, setting, found, rule is not _Rule.TUNING, said, mend, value, deletes, warning=warning)


def _closing(topic: str, found: str, value: str) -> Difference:
    """As many in sync as there are replicas: the next broker that starts anew would hold up every writer."""
    warning = f"with all of its {value} replicas in sync, one broker away, and nothing can be written to it"
    said = f"{topic} has min.insync.replicas {found}, not {value}, which are all of its replicas"
    mend = f"{_REASSIGN}; or {APPLY[:-1]} --yes`: {warning}"
    return Difference(topic, "min.insync.replicas", found, True, said, mend, value, closes=True, warning=warning)


def _of_replicas(spec: TopicSpec, state: TopicState, brokers: int) -> Iterator[Difference]:
    replicas, least = state.replication_factor, _number(state.config.get("min.insync.replicas", "1"))
    wanted = spec.replication_factor

    def differing(said: str, mend: str, *, matters: bool) -> Difference:
        return Difference(spec.name, "replication.factor", str(replicas), matters, f"{spec.name} {said}", mend)

    if replicas < wanted:
        yield differing(f"has {replicas} replicas, not {wanted}", _REASSIGN, matters=True)
    elif replicas == 1 and brokers > 1:
        yield differing("has one replica: what it holds is gone with its broker", _REASSIGN, matters=False)
    if least > replicas:
        said = f"asks for {least:g} replicas in sync and has {replicas}: nothing can be written to it"
        yield differing(said, f"lower min.insync.replicas, or {_REASSIGN}", matters=True)
    elif least == replicas > 1:
        said = f"asks for all of its {replicas} replicas in sync: one broker away, and nothing can be written to it"
        yield differing(said, f"lower min.insync.replicas, or {_REASSIGN}", matters=False)


def _of_partitions(topics: TopicSettings, spec: TopicSpec, state: TopicState) -> Iterator[Difference]:
    # A number that nobody gave is for new topics: what cannot be taken back is not done for the sake of a default.
    if spec.name != topics.events or "partitions" not in topics.model_fields_set:
        return
    if not 0 < state.partitions < spec.partitions:
        return
    said = f"{spec.name} has {state.partitions} partitions, not {spec.partitions}"
    mend, value = f"{APPLY}; {_MOVES_KEYS}", str(spec.partitions)
    yield Difference(spec.name, "partitions", str(state.partitions), False, said, mend, value, warning=_MOVES_KEYS)


def _of_quota_partitions(topics: TopicSettings, present: Mapping[str, TopicState]) -> Iterator[Difference]:
    commands, state = present.get(topics.quota_commands), present.get(topics.quota_state)
    if commands is None or state is None:
        return
    if commands.partitions != state.partitions:
        said = f"{commands.name} has {commands.partitions} partitions, {state.name} {state.partitions}: they must agree"
        mend = "make new topics of both under other names (TAXIMETER_TOPIC_QUOTA_*); their partitions never change"
        yield Difference(commands.name, "partitions", str(commands.partitions), matters=True, said=said, mend=mend)
    elif commands.partitions != topics.quota_partitions:
        said = f"{commands.name} has {commands.partitions} partitions, not {topics.quota_partitions}; it keeps them"
        mend = f"set TAXIMETER_TOPIC_QUOTA_PARTITIONS to {commands.partitions}"
        yield Difference(commands.name, "partitions", str(commands.partitions), matters=False, said=said, mend=mend)


def _same(found: str, value: str) -> bool:
    if found == value:
        return True
    try:
        return float(found) == float(value)
    except ValueError:
        return set(found.split(",")) == set(value.split(","))


def _number(value: str) -> float:
    """A limit; none is more than any."""
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return float("inf") if number == _FOR_EVER else number
