"""Finding the bad records of a group that share a schema, when the engine refuses them together.

    walk    steps over each body by its schema: what does not end where it should is set aside. Python, 3 us a record
    judge   asks the engine for the records whose values break a guard. One query, under half the time of an insert
    store   the insert itself: the engine has the last word
    trial   inserts into a table that keeps nothing: halved until each record that is still refused stands alone

The walk refuses only what the engine refuses of a record that stands alone, and judge and insert have the same guards.
So what becomes of a record never depends on its neighbours, nor on which of these looked at it first. What found
something in the last group is asked first for the next one: a steady share of bad records costs no insert in vain.

Pure but for the engine's three calls, which are handed in. Retryable and Misconfigured pass through.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from taximeter_consumers.sink.varint import Malformed
from taximeter_schemas import frame
from taximeter_schemas.codec import decode_body, read_body
from taximeter_schemas.errors import Poison, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from taximeter_consumers.sink.walk import Walk
    from taximeter_schemas.registry import Registry


class Step(Enum):
    """What can be done with a group of records."""

    STORE = auto()
    WALK = auto()
    JUDGE = auto()


# By what found something last time: what to do, in order, until the engine takes what is left.
_PLANS: Final[Mapping[frozenset[Step], Sequence[Step]]] = {
    frozenset(): (Step.STORE, Step.WALK, Step.STORE, Step.JUDGE, Step.STORE),
    frozenset({Step.WALK}): (Step.WALK, Step.STORE, Step.JUDGE, Step.STORE),
    # It cannot judge what is not read in step; then the walk comes after all.
    frozenset({Step.JUDGE}): (Step.JUDGE, Step.STORE, Step.WALK, Step.JUDGE, Step.STORE),
    frozenset({Step.WALK, Step.JUDGE}): (Step.WALK, Step.JUDGE, Step.STORE),
}


@dataclass(frozen=True)
class Group:
    """Records that share a schema: whole Kafka values, of which `indices` are meant."""

    values: Sequence[bytes | None]
    indices: Sequence[int]
    walk: Walk


@dataclass(frozen=True)
class Engine:
    """What is asked of ClickHouse about some indices of a group. Each call raises Poison where it refuses them."""

    store: Callable[[Sequence[int]], None]
    trial: Callable[[Sequence[int]], None]
    judge: Callable[[Sequence[int]], Mapping[int, Poison]]
    # Why a record that stands alone is refused.
    reason: Callable[[int], Poison]


@dataclass(frozen=True)
class Outcome:
    """The rest is stored. `suspects` found something: to be handed in with the next group of the same partition."""

    bad: Mapping[int, Poison]
    suspects: frozenset[Step]


def store_good(
    group: Group, engine: Engine, suspects: frozenset[Step] = frozenset(), *, refused: bool = False
) -> Outcome:
    """Stores what is good of a group and names what is bad. `refused`: the engine has refused the group as it is.

    Raises Retryable where the engine refuses to store what it takes in a trial.
    """
    left, bad, done, found = list(group.indices), dict[int, Poison](), set[Step](), set[Step]()
    for step in _PLANS[suspects]:
        if not left:
            break
        if step is Step.STORE:
            if not refused and _takes(engine.store, left):
                return Outcome(bad, frozenset(found))
            refused = True
        elif step not in done:
            try:
                named = unaligned(group, left) if step is Step.WALK else engine.judge(left)
            except Poison:
                continue
            done.add(step)
            if named:
                found.add(step)
                bad.update(named)
                left, refused = [index for index in left if index not in named], False
    if left:
        bad.update(_tried(left, engine))
    return Outcome(bad, frozenset(found))


def _tried(left: Sequence[int], engine: Engine) -> Mapping[int, Poison]:
    """Stores what the engine takes one by one. What the trial takes is sound: then the table is in trouble."""
    bad: dict[int, Poison] = {}
    if not _takes(engine.trial, left):
        bad = {index: engine.reason(index) for index in refused_ones(left, lambda some: not _takes(engine.trial, some))}
    good = [index for index in left if index not in bad]
    if good and (not bad or not _takes(engine.store, good)):
        raise Retryable(
            "ClickHouse refuses records that it takes in a trial; its log says what is wrong with stored_events or a"
            " view on it"
        )
    return bad


def _takes(ask: Callable[[Sequence[int]], None], some: Sequence[int]) -> bool:
    try:
        ask(some)
    except Poison:
        return False
    return True


def unaligned(group: Group, indices: Sequence[int]) -> dict[int, Poison]:
    """Which of `indices` do not follow their schema from the first byte to the last, and why."""
    bad: dict[int, Poison] = {}
    walk, values = group.walk, group.values
    for index in indices:
        value = values[index] or b""
        try:
            end = walk(value, frame.HEADER_SIZE)
        except IndexError:
            end = len(value) + 1
        except Malformed:
            bad[index] = Poison("malformed", "the body does not follow its schema")
            continue
        if end != len(value):
            bad[index] = (
                Poison("truncated", "the body ends before its schema does")
                if end > len(value)
                else Poison("trailing_bytes", f"{len(value) - end} bytes are left after the record")
            )
    return bad


@dataclass
class Sifted:
    """A batch's records by what becomes of them: indices by schema id, and the bad ones with their reasons."""

    groups: dict[int, list[int]] = field(default_factory=dict)
    bad: dict[int, Poison] = field(default_factory=dict)


def by_schema(values: Sequence[bytes | None]) -> Sifted:
    """Groups records by the schema id of their frames; what has no frame is bad."""
    sifted = Sifted()
    # Records with the same first bytes share the verdict on their frame, so each distinct head is looked at once.
    heads: dict[bytes | None, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        heads[value and value[: frame.HEADER_SIZE]].append(index)
    for indices in heads.values():
        try:
            schema_id, _ = frame.split(values[indices[0]])
        except Poison as poison:
            sifted.bad.update(dict.fromkeys(indices, poison))
        else:
            sifted.groups[schema_id] = indices
    return sifted


def refused_ones(indices: Sequence[int], refuses: Callable[[Sequence[int]], bool]) -> list[int]:
    """Which of `indices` are bad, given that all of them together are refused.

    A half that is taken is good as a whole. Where both halves are taken the refusal cannot be pinned to a record, and
    none is named.
    """
    if len(indices) == 1:
        return list(indices)
    middle = len(indices) // 2
    bad: list[int] = []
    for half in (indices[:middle], indices[middle:]):
        if refuses(half):
            bad.extend(refused_ones(half, refuses))
    return bad


def reason(value: bytes | None, registry: Registry) -> Poison:
    """Why the engine refused this record, as well as Python can tell."""
    try:
        schema_id, body = frame.split(value)
        writer = registry.schema(schema_id)
        read_body(body, writer)
        decode_body(body, writer)
    except Poison as poison:
        return poison
    return Poison("refused", "ClickHouse refuses the record, though it follows its schema")
