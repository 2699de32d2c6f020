"""Thresholds: each is told once for each window, when what is used (not what is held) reaches it."""

from __future__ import annotations

from collections.abc import Iterable

from taximeter_consumers.quota.machine.effects import Raise
from taximeter_consumers.quota.machine.levels import Level, window_of
from taximeter_consumers.quota.machine.turn import Turn
from taximeter_schemas.money import plain
from taximeter_schemas.quota.answers import Alert


def reached(turn: Turn, levels: Iterable[Level]) -> list[Raise]:
    """Alerts of the thresholds that these levels have reached since the last look."""
    return [raised for level in levels for raised in _of_level(turn, level)]


def _of_level(turn: Turn, level: Level) -> list[Raise]:
    found = []
    for rule in level.rules:
        window = window_of(rule, turn.now)
        if window is None:
            continue
        used = level.taken(rule, window, turn.now)[0] * 100
        for threshold in rule.thresholds:
            if not used or used < threshold * rule.most:
                continue
            told = f"{rule.limit_id}|{window.starts_at}|{plain(threshold)}"
            if told in level.told:
                continue
            level.told[told] = window.ends_at
            turn.changed_level(level)
            standing = level.standing(rule, window, turn.now)
            alert = Alert(
                alert_id=f"{level.key}|{told}", root=turn.root.name, threshold=threshold, standing=standing, at=turn.now
            )
            found.append(Raise(alert))
    return found
