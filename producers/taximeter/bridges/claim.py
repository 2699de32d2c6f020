"""How every bridge hands a call to a node: one way in, which never raises into the framework.

A call that failed is claimed with zero tokens; whether the node failed is for the exception that leaves it to say,
since a framework may have tried again. A call that was cancelled is `missing`: what the provider billed is not known.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar, cast

from taximeter.current import current_node, current_run
from taximeter.faults import LOG
from taximeter.node import Node
from taximeter.nothing import NullNode
from taximeter.outcome import message_of, outcome_of
from taximeter.run import Run
from taximeter.use import AI_COUNTS, AiWords
from taximeter_schemas.words import Outcome, Quality

AnyNode = Node | NullNode
Given = ParamSpec("Given")
Key = TypeVar("Key", bound=Hashable)

# Calls that begin and never end must not fill the memory.
_OPEN_CALLS = 10_000


def claim(node: AnyNode, words: Mapping[str, Any]) -> None:
    """One call of a model, by the keywords of `node.ai(...)`; None is not stated. Without any counter it is missing."""
    node.ai_claimed(**cast(AiWords, {name: value for name, value in words.items() if value is not None}))


def claim_failed(node: AnyNode, words: Mapping[str, Any], error: BaseException | str | None) -> None:
    """One call that ended by an error. What it states to have used counts as partial."""
    if any(words.get(name) for name in AI_COUNTS):
        claim(node, {**words, "quality": Quality.PARTIAL})
    elif isinstance(error, BaseException) and outcome_of(error) is Outcome.CANCELLED:
        claim(node, {**words, "quality": Quality.MISSING})
    else:
        claim(node, {**words, "input_tokens": 0, "output_tokens": 0, "quality": Quality.REPORTED})
    if error:
        node.describe(error_message=error if isinstance(error, str) else message_of(error))


def quiet(hook: Callable[Given, None]) -> Callable[Given, None]:
    """A framework's callback that notes what it would have raised with the current run, and raises nothing."""
    place = hook.__qualname__

    @wraps(hook)
    def safe(*given: Given.args, **named: Given.kwargs) -> None:
        try:
            hook(*given, **named)
        except Exception as error:  # noqa: BLE001 - the promise: no bridge ever raises into the host
            note(place, error)

    return safe


def note(place: str, error: Exception) -> None:
    """Count a fault of a bridge: with the current run's meter, else in the log alone."""
    run = current_run()
    if isinstance(run, Run):
        run.faults.note(place, error)
    else:
        LOG.debug("%s: %s; the host is not disturbed", place, type(error).__name__)


class OpenCalls:
    """The node that was current when each call began. Bounded: the oldest give way."""

    def __init__(self, most: int = _OPEN_CALLS) -> None:
        self._most = most
        self._lock = RLock()
        self._nodes: OrderedDict[Hashable, tuple[AnyNode, Mapping[str, Any]]] = OrderedDict()

    def began(self, key: Hashable, words: Mapping[str, Any] | None = None) -> None:
        """Remember the current node, and what is known of the call already."""
        node = current_node()
        with self._lock:
            self._nodes[key] = (node, words or {})
            if len(self._nodes) > self._most:
                self._nodes.popitem(last=False)

    def ended(self, key: Hashable) -> tuple[AnyNode, Mapping[str, Any]]:
        """The node of the call and its words; the current node if its beginning was not seen or is forgotten."""
        with self._lock:
            found = self._nodes.pop(key, None)
        return found or (current_node(), {})

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._nodes.clear()
