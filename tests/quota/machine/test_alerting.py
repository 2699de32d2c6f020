"""Thresholds are told once."""

from __future__ import annotations

from decimal import Decimal

from tests.quota.machine.asking import ACCOUNT, HOUR, START, Log, confirm, knowing, level, limit, merged, reserve, show

from taximeter_consumers.quota.machine.machine import Machine
from taximeter_schemas.quota.limits import MINUTE, Window


def test_each_threshold_is_told_once_for_each_window() -> None:
    """When facts come, and when a hold settles; what is only held does not count."""
    log = knowing(limit(100), used=49)
    log.ask(reserve("h", tokens=51))
    assert log.alerts == []
    log.ask(confirm("h", 30))
    assert [one.threshold for one in log.alerts] == [50, 75]
    log.learn({ACCOUNT: level(limit(100), used=100)}, visible={"h": {"total_tokens": Decimal(30)}})
    assert [one.threshold for one in log.alerts] == [50, 75, 90, 100]
    log.learn({ACCOUNT: level(limit(100), used=100)})
    assert len(log.alerts) == 4


def test_an_alert_says_what_and_where() -> None:
    """Its id is the same however often it is told."""
    log = knowing(limit(100, thresholds=(Decimal("80.50"),)), used=81)
    (alert,) = log.alerts
    assert alert.alert_id == f"{ACCOUNT}|month-limit|{START}|80.5"
    assert (alert.root, alert.standing.used, alert.standing.percent, alert.at) == ("account/acme", 81, 81, log.at)


def test_alerts_are_remembered_over_a_restart() -> None:
    """Until their window is over, even when nothing else keeps the level."""
    log = knowing(limit(100), used=60)
    restored = Log(Machine.restored(0, merged(log.machine.take_dirty())))
    restored.at = log.at
    restored.learn({ACCOUNT: level(limit(100), used=70)})
    assert restored.alerts == []


def test_a_new_window_is_told_of_anew() -> None:
    """What was told of the old one is forgotten."""
    log = Log()
    usage = {"total_tokens": {START: Decimal(9), START + HOUR: Decimal(9)}}
    log.learn({ACCOUNT: level(limit(10), usage=usage)})
    assert len(log.alerts) == 3
    log.learn({ACCOUNT: level(limit(10), usage=usage)}, after=HOUR)
    assert len(log.alerts) == 6
    log.ask(show(), after=MINUTE)
    record = merged(log.machine.take_dirty())[f"level/account/acme|{ACCOUNT}"]
    assert f"month-limit|{START}|50".encode() not in record


def test_nothing_is_told_of_what_is_not_used_or_not_known() -> None:
    """Neither a threshold of zero, nor a window that is not known."""
    log = knowing(limit(100, thresholds=(Decimal(0),)), limit(1, Window.DAY, spans=()))
    assert log.alerts == []
