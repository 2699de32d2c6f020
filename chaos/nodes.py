"""What a metered executor runs: nodes drawn from a seed, each with what it uses, and the events that must come of it.

Node ids are unique within a world, so that an event tells which node it is of. What the SDK itself finds (the event's
id, its time and its duration) is not known beforehand; everything that is billed is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Final, Self

from taximeter import Meter
from taximeter.node import Node
from taximeter.quota import Denied, QuotaGate
from taximeter.run import Run
from taximeter_infra.simulate.catalogue import MODELS

_MOST_NODES: Final = 6
_MONEY: Final = frozenset({"reported_cost"})
# Left out under pressure, and nothing else.
_DEBUG: Final = frozenset({"description"})


@dataclass(frozen=True)
class NodeUse:
    """One node: the run that it belongs to, and the words that are given to the SDK. Money as text."""

    number: int
    node_id: str
    run: Mapping[str, str]
    ai: Sequence[Mapping[str, Any]]
    http: Mapping[str, int]
    fails: bool = False

    @property
    def amounts(self) -> dict[str, int]:
        """What a quota must have room for."""
        tokens = sum(int(call["input_tokens"]) + int(call["output_tokens"]) for call in self.ai)
        return {"total_tokens": tokens, "executions": 1}

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        return cls(**said)

    def events(self) -> list[dict[str, Any]]:
        """What its events must say: the first is the node's execution, each further model makes one without."""
        shared = {**self.run, "node_id": self.node_id, "node_type": "ai" if self.ai else "http"}
        first = {
            **shared,
            "kind": "node",
            "executions": 1,
            "outcome": "error" if self.fails else "success",
            "description": self.node_id * 8,
            "http": dict(self.http),
        }
        groups = [{"ai": dict(words)} for words in self.ai] or [{}]
        return [{**(first if place == 0 else {**shared, "executions": 0}), **one} for place, one in enumerate(groups)]


def drawn(seed: int, name: str) -> Iterator[NodeUse]:
    """Nodes without end, in runs of a few; the same for the same seed and name."""
    rng = Random(f"nodes/{seed}/{name}")
    numbers = itertools.count()
    for lap in itertools.count():
        run = {
            "run_id": f"{name}-run-{lap}",
            "account_id": f"account-{rng.randrange(5)}",
            "user_id": f"user-{rng.randrange(20)}",
            "workflow_id": f"workflow-{rng.randrange(3)}",
        }
        for number in itertools.islice(numbers, rng.randint(1, _MOST_NODES)):
            models = rng.sample(MODELS, rng.choice((0, 1, 1, 1, 2)))
            calls = [_call(rng, model.provider, model.name) for model in models]
            http = {"requests": rng.randint(1, 9), "bytes_out": rng.randrange(10**6), "bytes_in": rng.randrange(10**9)}
            yield NodeUse(number, f"{name}-{number}", run, calls, http, fails=rng.random() < 0.1)


def _call(rng: Random, provider: str, model: str) -> dict[str, Any]:
    cost = {"reported_cost": str(Decimal(rng.randrange(10**9)).scaleb(-10))} if rng.random() < 0.3 else {}
    tokens = {"input_tokens": rng.randrange(10**5), "output_tokens": rng.randrange(10**4)}
    return {"provider": provider, "model": model, **tokens, **cost}


def carried_out(
    meter: Meter,
    nodes: Sequence[NodeUse],
    gate: QuotaGate | None = None,
    refused: Callable[[int], None] = lambda _: None,
) -> Iterator[NodeUse]:
    """Runs the nodes, and gives each back once the meter has been told of its end. With a `gate` each asks first."""
    for words, group in itertools.groupby(nodes, key=lambda node: dict(node.run)):
        with meter.run(**words) as run:
            for use in group:
                node_type = "ai" if use.ai else "http"
                try:
                    with _started(run, use, node_type, gate) as node:
                        _carry_out(node, use)
                except _NodeFailed:
                    pass
                except Denied:
                    refused(use.number)
                yield use


class _NodeFailed(Exception):
    """What a failing node raises."""


@contextmanager
def _started(run: Run, use: NodeUse, node_type: str, gate: QuotaGate | None) -> Iterator[Node]:
    if gate is None:
        with run.node(use.node_id, node_type=node_type) as node:
            yield node
        return
    with gate.metered_node(use.node_id, use.amounts, node_type=node_type, run=run) as block:
        assert block.node is not None
        yield block.node


def _carry_out(node: Node, use: NodeUse) -> None:
    node.describe(description=use.node_id * 8)
    node.http(**use.http)
    for call in use.ai:
        cost = call.get("reported_cost")
        node.ai(**{**call, **({"reported_cost": Decimal(cost)} if cost else {})})
    if use.fails:
        raise _NodeFailed


def says(event: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether an event in plain values says all that is expected of it; debug texts may be missing."""
    return all(_equal(name, event.get(name), value) for name, value in expected.items())


def _equal(name: str, found: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and says(found, expected)
    if name in _MONEY:
        return found is not None and Decimal(found) == Decimal(expected)
    return found == expected or (name in _DEBUG and found == "")
