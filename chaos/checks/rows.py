"""Rows of the view `events` against the journal: the same identities, and every column equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from chaos.evidence import Evidence
from chaos.truth import SUMMED, expected_rows


def rows_equal(evidence: Evidence) -> list[str]:
    """Each event that counts is there once, with every counter and amount; nothing else is."""
    expected = expected_rows(evidence.entries)
    identities = [(str(row["account_id"]), str(row["event_id"])) for row in evidence.rows]
    found = dict(zip(identities, evidence.rows, strict=True))
    problems = [f"{one} is shown {times} times" for one, times in Counter(identities).items() if times > 1]
    problems += [f"{one} is missing" for one in expected if one not in found]
    problems += [f"{one} was never sent" for one in found if one not in expected]
    for identity, row in expected.items():
        if identity in found:
            problems += [f"{identity}: {told}" for told in differences(row, found[identity])]
    return problems


def sums_equal(evidence: Evidence) -> list[str]:
    """Sums over each account, as SQL gives them, are those of the journal."""
    expected: dict[str, dict[str, Any]] = {}
    for row in expected_rows(evidence.entries).values():
        sums = expected.setdefault(row["account_id"], {"events": 0, "reported_cost": None, "custom_units": {}})
        sums["events"] += 1
        for name in SUMMED:
            sums[name] = sums.get(name, 0) + row[name]
        if row["reported_cost"] is not None:
            sums["reported_cost"] = (sums["reported_cost"] or 0) + row["reported_cost"]
        for unit, amount in row["custom_units"].items():
            sums["custom_units"][unit] = sums["custom_units"].get(unit, 0) + amount
    return keyed_differences(expected, evidence.sums)


def keyed_differences(expected: Mapping[Any, Mapping[str, Any]], found: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    """What differs between two tables by key: in the keys, or in the columns that are expected."""
    problems = [f"{key} is missing" for key in expected if key not in found]
    problems += [f"{key} should not be there" for key in found if key not in expected]
    for key, row in expected.items():
        if key in found:
            problems += [f"{key}: {told}" for told in differences(row, found[key])]
    return problems


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[str]:
    """The columns in which a row is not as expected. A set as expected value: any of its members is right."""
    for name, value in expected.items():
        if name not in found:
            yield f"{name} is not there"
        elif isinstance(value, frozenset):
            if found[name] not in value:
                yield f"{name} is {found[name]!r} and none of {sorted(value)!r}"
        elif found[name] != value:
            yield f"{name} is {found[name]!r} and not {value!r}"
