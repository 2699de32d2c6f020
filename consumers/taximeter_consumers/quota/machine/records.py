"""The state as records of a compacted topic, and back. JSON; decimals are text.

    partition                meta: how far the log is applied, its time, how many partitions there were
    level/<root>|<level>     what ClickHouse said of a level, and what alerts were told of it
    hold/<root>|<hold id>    a hold that is open or remembered
    parked/<root>|<offset>   a command that waits for facts
Totals are no records: they follow from the holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter_consumers.quota.machine.holds import Hold, State
from taximeter_consumers.quota.machine.levels import Level
from taximeter_consumers.quota.machine.roots import Parked
from taximeter_consumers.quota.machine.turn import Key
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.money import plain
from taximeter_schemas.quota.commands import Reserve, Show, decoded
from taximeter_schemas.quota.limits import Rule

PARTITION: Final = "partition"


@dataclass(frozen=True, slots=True)
class Meta:
    """`partitions`: how many the topic of commands had (0: not said). `floor`: as of when facts must be to make a level
    known."""

    next_offset: int
    now: int
    partitions: int
    floor: int


def key_text(key: Key) -> str:
    """The key of a record."""
    kind, root, name = key
    return f"{kind}/{root}|{name}"


def key_parts(text: str) -> Key:
    """Kind, root and name in the key of a record. Roots have no | in them: names in them are percent-encoded."""
    kind, _, rest = text.partition("/")
    root, _, name = rest.partition("|")
    return kind, root, name


def meta_record(meta: Meta) -> bytes:
    """As bytes."""
    return _bytes(asdict(meta))


def meta_of(body: bytes) -> Meta:
    """The meta record of a partition. Raises Misconfigured."""
    try:
        return Meta(**json.loads(body))
    except (TypeError, ValueError) as error:
        raise Misconfigured(
            "the state of the quota service was written by another version, which this one cannot read",
            mend="run the version that wrote it until every hold is closed, or run that version on",
        ) from error


def level_record(level: Level) -> bytes:
    """As bytes."""
    return _bytes(
        {
            "as_of": level.as_of,
            "complete_until": level.complete_until,
            "rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in level.rules],
            "usage": {meter: _texts(windows) for meter, windows in level.usage.items()},
            "lacking": dict(level.lacking),
            "moved_to": level.moved_to,
            "needs": level.needs,
            "touched": level.touched,
            "told": level.told,
        }
    )


def level_of(key: str, body: bytes) -> Level:
    """The level of a record; its totals are still to be counted."""
    read = json.loads(body)
    return Level(
        key, as_of=read["as_of"], complete_until=read["complete_until"],
        rules=tuple(Rule.model_validate(rule) for rule in read["rules"]),
        usage={m: {int(start): Decimal(x) for start, x in windows.items()} for m, windows in read["usage"].items()},
        lacking={int(start): calls for start, calls in read["lacking"].items()}, moved_to=read["moved_to"],
        needs=read["needs"], touched=read["touched"], told=read["told"],
    )  # fmt: skip


def hold_record(hold: Hold) -> bytes:
    """As bytes. What is visible is written once for all levels where it is the same."""
    seen: list[tuple[list[str], dict[str, str]]] = []
    for key in hold.levels:
        if key in hold.seen:
            texts = _texts(hold.seen[key])
            alike = next((levels for levels, amounts in seen if amounts == texts), None)
            if alike is None:
                seen.append(([key], texts))
            else:
                alike.append(key)
    return _bytes(
        {
            "offset": hold.offset,
            "kind": hold.kind,
            "levels": hold.levels,
            "amounts": _texts(hold.amounts),
            "reserved_at": hold.reserved_at,
            "expires_at": hold.expires_at,
            "run_id": hold.run_id,
            "degrade_to": hold.degrade_to,
            "state": hold.state.value,
            "actual": _texts(hold.actual),
            "closed_at": hold.closed_at,
            "quiet_at": hold.quiet_at,
            "done": hold.done,
            "seen": seen,
            "parent": None if hold.outer is None else hold.outer.hold_id,
        }
    )


def hold_of(hold_id: str, body: bytes) -> tuple[Hold, str | None]:
    """The hold of a record, and the id of the one around it; they are still to be tied together."""
    read = json.loads(body)
    seen: dict[str, Mapping[str, Decimal]] = {}
    for keys, texts in read.pop("seen"):
        seen.update(dict.fromkeys(keys, _amounts(texts)))
    parent: str | None = read.pop("parent")
    read |= {
        "levels": tuple(read["levels"]), "amounts": _amounts(read["amounts"]), "actual": _amounts(read["actual"]),
        "state": State(read["state"]),
    }  # fmt: skip
    return Hold(hold_id=hold_id, seen=seen, **read), parent


def parked_record(parked: Parked) -> bytes:
    """As bytes."""
    return _bytes({"at": parked.at, "command": parked.command.model_dump(mode="json")})


def parked_of(offset: str, body: bytes) -> Parked:
    """The waiting command of a record."""
    read = json.loads(body)
    command = decoded(json.dumps(read["command"]).encode())
    if not isinstance(command, Reserve | Show):
        raise TypeError(f"a {command.command} never waits for facts")
    return Parked(command, read["at"], int(offset), command.subject.levels)


def _texts(amounts: Mapping[Any, Decimal]) -> dict[str, str]:
    return {str(name): plain(amount) for name, amount in amounts.items()}


def _amounts(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {meter: Decimal(text) for meter, text in texts.items()}


def _bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
