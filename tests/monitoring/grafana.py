"""The dashboard's file, and its SQL as Grafana's ClickHouse plugin sends it: variables put in, macros replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[2] / "infra"
DASHBOARD = json.loads((INFRA / "grafana" / "dashboards" / "taximeter.json").read_text(encoding="utf-8"))
_ALL = "$__conditionalAll("


def panels() -> dict[str, str]:
    """The SQL of each panel by its title."""
    return {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"]}


def variables() -> dict[str, dict[str, Any]]:
    """The variables by name."""
    return {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}


@dataclass(frozen=True)
class View:
    """What somebody looks at. `chosen` has the values of variables; one that is not in it shows all."""

    since: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    until: datetime = datetime(2100, 1, 1, tzinfo=UTC)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    granularity: str = "day"
    interval_seconds: int = 60

    def sql(self, text: str) -> str:
        """The query that reaches ClickHouse."""
        text = self._without_conditions(text).replace("${granularity:raw}", self.granularity)
        for name, values in self.chosen.items():
            text = text.replace(f"${{{name}:sqlstring}}", ",".join(_quoted(value) for value in values))
        first, last = int(self.since.timestamp()), int(self.until.timestamp())
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= toDateTime({first}) AND \1 <= toDateTime({last})", text)
        every = self.interval_seconds
        text = re.sub(
            r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {every} second)", text
        )
        text = text.replace("$__interval_s", str(every))
        assert "$" not in text, text
        return text

    def _without_conditions(self, text: str) -> str:
        while _ALL in text:
            begin = text.index(_ALL)
            end = _closing(text, begin + len(_ALL))
            condition, _, name = text[begin + len(_ALL) : end].rpartition(",")
            kept = condition if name.strip().removeprefix("$") in self.chosen else "1=1"
            text = text[:begin] + kept + text[end + 1 :]
        return text


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _closing(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise AssertionError(text)
