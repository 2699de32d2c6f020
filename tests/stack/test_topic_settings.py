"""Topics as they are beside topics as they should be: what differs, what matters, and what is never done unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from taximeter_infra.topic_admin import translated
from taximeter_infra.topic_settings import Difference, differences, to_apply
from taximeter_infra.topics import TopicState, wanted
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.settings import TopicSettings

TOPICS = TopicSettings()
EVENTS_GROW = TopicSettings(partitions=12)
EVENTS, STATE, COMMANDS = TOPICS.events, TOPICS.quota_state, TOPICS.quota_commands


def as_wanted(topics: TopicSettings = TOPICS, replicas: int = 3) -> list[TopicState]:
    """Every topic just as it should be, and with what the broker adds."""
    return [
        TopicState(spec.name, spec.partitions, 0, replicas, {"min.insync.replicas": "1", **spec.config})
        for spec in wanted(topics)
    ]


def differing(
    name: str, topics: TopicSettings = TOPICS, replicas: int = 3, partitions: int | None = None, **config: str
) -> list[Difference]:
    """What differs where one topic has these settings: `retention_ms="1"`."""
    states = as_wanted(topics, replicas)
    place = next(index for index, state in enumerate(states) if state.name == name)
    own = {key.replace("_", "."): value for key, value in config.items()}
    states[place] = replace(states[place], config={**states[place].config, **own})
    if partitions is not None:
        states[place] = replace(states[place], partitions=partitions)
    return differences(topics, wanted(topics), states, 3)


def chosen(found: Sequence[Difference], *, yes: bool = False, shrink: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Topic -> setting -> value: what would be set."""
    values: dict[str, dict[str, str]] = {}
    for one in to_apply(found, yes=yes, shrink=shrink):
        values.setdefault(one.topic, {})[one.setting] = one.value or ""
    return values


def test_topics_as_wanted_differ_in_nothing() -> None:
    """On one broker, where one replica is all that can be, as on three."""
    assert differences(TOPICS, wanted(TOPICS), as_wanted(), 3) == []
    assert differences(TOPICS, wanted(TOPICS), as_wanted(replicas=1), 1) == []
    assert differences(TOPICS, wanted(TOPICS), [], 1) == []


@pytest.mark.parametrize(
    ("topic", "config"),
    [
        (EVENTS, {"message_timestamp_type": "CreateTime"}),
        (EVENTS, {"retention_ms": "3600000"}),
        (EVENTS, {"cleanup_policy": "compact,delete"}),
        (STATE, {"cleanup_policy": "delete"}),
        (STATE, {"delete_retention_ms": "1"}),
        (TOPICS.dead_letters, {"max_message_bytes": "1048588"}),
    ],
)
def test_what_loses_records_matters(topic: str, config: Mapping[str, Any]) -> None:
    """Each with the mend; only another way of cleaning up is not done without being asked for."""
    (one,) = differing(topic, **config)
    assert one.matters
    assert "--apply" in one.mend
    cleans = "cleanup_policy" in config
    assert (one.deletes, "--yes" in one.mend) == (cleans, cleans)
    assert bool(to_apply([one])) is not cleans
    assert chosen([one], yes=True) == {topic: {one.setting: one.value}}


def test_more_than_was_asked_for_is_a_note_and_stays() -> None:
    """A longer retention, larger messages, for ever: nothing is brought down unless it is asked for."""
    found = [
        *differing(EVENTS, retention_ms="-1"),
        *differing(EVENTS, retention_ms="99999999999"),
        *differing(COMMANDS, max_message_bytes="99999999"),
    ]
    assert len(found) == 3
    assert not any(one.matters for one in found)
    assert to_apply(found) == []


def test_what_is_spare_falls_only_where_the_topic_is_named() -> None:
    """A `--yes` that was meant for another topic cuts nobody's retention, and a name without it none either."""
    (longer,) = differing(EVENTS, retention_ms=str(14 * 24 * 3_600_000))
    (cleans,) = differing(STATE, cleanup_policy="delete")
    (larger,) = differing(COMMANDS, max_message_bytes="99999999")
    found = [longer, cleans, larger]
    assert chosen(found, yes=True) == {STATE: {"cleanup.policy": "compact"}}
    assert chosen(found, shrink=[EVENTS]) == {}
    assert chosen([longer, larger], yes=True, shrink=[EVENTS]) == {EVENTS: {"retention.ms": str(7 * 24 * 3_600_000)}}
    assert f"--yes --shrink {EVENTS}" in longer.mend
    assert longer.warning == "it may delete records"


def test_tuning_is_a_note_and_is_set() -> None:
    """How soon a segment closes costs nobody an event; as a number it may be written otherwise."""
    (one,) = differing(STATE, segment_bytes="1")
    assert not one.matters
    assert chosen([one]) == {STATE: {"segment.bytes": str(16 * 2**20)}}
    assert differing(STATE, min_cleanable_dirty_ratio="0.10") == []


def test_a_limit_by_size_is_noted() -> None:
    """It deletes whatever the retention says; a compacted topic knows no such limit."""
    (one,) = differing(EVENTS, retention_bytes="1000")
    assert (one.matters, one.value) == (False, None)
    assert differing(STATE, retention_bytes="1000") == []


def test_a_broker_that_does_not_say_is_not_blamed() -> None:
    """Such a setting is unknown, and nothing is set."""
    states = [replace(state, config={}) for state in as_wanted()]
    found = differences(TOPICS, wanted(TOPICS), states, 1)
    assert found
    assert not any(one.matters for one in found)
    assert to_apply(found, yes=True, shrink=[state.name for state in states]) == []


def test_the_events_may_get_more_partitions_and_the_quotas_never() -> None:
    """Keys move, which is said; fewer are never wanted; those of quotas must agree, or the setting follows them."""
    (grows,) = differing(EVENTS, EVENTS_GROW, partitions=3)
    assert "keys then go to other partitions" in grows.mend
    assert grows.warning in grows.mend
    assert chosen([grows]) == {EVENTS: {"partitions": "12"}}
    assert differing(EVENTS, EVENTS_GROW, partitions=24) == []
    (torn,) = differing(STATE, partitions=3)
    assert (torn.matters, torn.value) == (True, None)
    states = [replace(state, partitions=6) if state.name in {COMMANDS, STATE} else state for state in as_wanted(TOPICS)]
    (other,) = differences(TOPICS, wanted(TOPICS), states, 3)
    assert (other.matters, other.value, other.mend) == (False, None, "set TAXIMETER_TOPIC_QUOTA_PARTITIONS to 6")


def test_a_default_is_no_wish_for_more_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer retention alone grows nothing; with the variable set, even to what is the default, it is asked for."""
    monkeypatch.setenv("TAXIMETER_TOPIC_RETENTION_HOURS", "336")
    unasked = TopicSettings()
    assert differing(EVENTS, unasked, partitions=6) == []
    short = differing(EVENTS, unasked, partitions=6, retention_ms="604800000")
    assert chosen(short) == {EVENTS: {"retention.ms": str(336 * 3_600_000)}}
    monkeypatch.setenv("TAXIMETER_TOPIC_PARTITIONS", "12")
    (asked,) = differing(EVENTS, TopicSettings(), partitions=6)
    assert (asked.setting, asked.matters) == ("partitions", False)


def test_replicas_are_told_and_not_changed() -> None:
    """Fewer than wanted; one on many brokers; more in sync than there are, or as many."""
    safe = TopicSettings(replication_factor=3, min_insync_replicas=2)
    assert differences(safe, wanted(safe), as_wanted(safe), 3) == []
    fewer = [one for one in differing(EVENTS, safe, 2) if one.topic == EVENTS]
    assert {(one.setting, one.matters) for one in fewer} == {
        ("replication.factor", True),
        ("replication.factor", False),
    }
    single = [one for one in differences(TOPICS, wanted(TOPICS), as_wanted(replicas=1), 3) if one.topic == EVENTS]
    assert [(one.setting, one.matters) for one in single] == [("replication.factor", False)]
    (closed,) = differing(EVENTS, min_insync_replicas="4")
    assert "nothing can be written" in closed.said
    assert closed.matters
    assert not any(one.value for one in [*fewer, *single])


def test_more_in_sync_than_there_are_replicas_is_never_set() -> None:
    """It would close the topic to every producer."""
    safe = TopicSettings(min_insync_replicas=2)
    states = [replace(state, config={**state.config, "min.insync.replicas": "1"}) for state in as_wanted(safe, 1)]
    found = differences(safe, wanted(safe), states, 3)
    assert any(one.matters and "kafka-reassign-partitions.sh" in one.mend for one in found)
    assert to_apply(found, yes=True) == []
    three = [replace(state, replication_factor=3) for state in states]
    assert chosen(differences(safe, wanted(safe), three, 3))[EVENTS] == {"min.insync.replicas": "2"}
    with pytest.raises(Misconfigured, match="cannot be in sync"):
        wanted(TopicSettings(replication_factor=1, min_insync_replicas=2))


def test_all_replicas_in_sync_are_set_only_with_yes() -> None:
    """Two of two: the next broker that starts anew would stop all writers, which is said. One of one is as ever."""
    safe = TopicSettings(min_insync_replicas=2)
    (one,) = [
        one for one in differing(EVENTS, safe, 2, min_insync_replicas="1") if one.setting == "min.insync.replicas"
    ]
    assert one.matters
    assert "nothing can be written" in one.warning
    assert "kafka-reassign-partitions.sh" in one.mend
    assert to_apply([one]) == []
    assert chosen([one], yes=True) == {EVENTS: {"min.insync.replicas": "2"}}
    single = TopicSettings(min_insync_replicas=1)
    assert chosen(differing(EVENTS, single, 1, min_insync_replicas="0")) == {EVENTS: {"min.insync.replicas": "1"}}


@given(
    st.sampled_from([spec.name for spec in wanted(TOPICS)]),
    st.dictionaries(
        st.sampled_from(["retention.ms", "delete.retention.ms", "max.message.bytes", "cleanup.policy", "segment.ms"]),
        st.integers(-1, 2**60).map(str) | st.sampled_from(["compact", "delete", "compact,delete", "odd"]),
    ),
)
def test_unasked_nothing_is_ever_shortened(name: str, config: dict[str, str]) -> None:
    """Whatever the topics have: no retention falls without `--shrink`, nothing is cleaned otherwise without `--yes`."""
    states = [
        replace(state, config={**state.config, **config}) if state.name == name else state for state in as_wanted()
    ]
    found = differences(TOPICS, wanted(TOPICS), states, 3)
    assert "cleanup.policy" not in chosen(found).get(name, {})
    unnamed = [spec.name for spec in wanted(TOPICS) if spec.name != name]
    values = chosen(found, yes=True, shrink=unnamed).get(name, {})
    for setting in {"retention.ms", "delete.retention.ms", "max.message.bytes"} & values.keys():
        had = config[setting]
        assert had != "-1"
        assert not had.isdecimal() or int(had) < int(values[setting])


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (KafkaError.SASL_AUTHENTICATION_FAILED, "KAFKA_SASL_PASSWORD"),
        (KafkaError._AUTHENTICATION, "KAFKA_SASL_PASSWORD"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "taximeter-topics"),
        (KafkaError.INVALID_REPLICATION_FACTOR, "TAXIMETER_TOPIC_REPLICATION_FACTOR"),
    ],
)
def test_a_refusal_names_its_mend(code: int, mend: str) -> None:
    """What an operator can set right is Misconfigured; the rest may pass."""
    error = translated(KafkaError(code))
    assert isinstance(error, Misconfigured)
    assert mend in error.mend
    assert isinstance(translated(KafkaError(KafkaError._TRANSPORT)), Retryable)
