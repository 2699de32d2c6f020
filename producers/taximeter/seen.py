"""Model calls that two observers saw: a tap on the transport, and a bridge or callback above it. Each counts once.

The tap wins: it read the provider's own bytes. A claim is a bridge's record; it gives way to a tapped call with the
same response id, or, where one of them has none, to a call of the same node with the same model and counts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

Group = dict[str, Any]

_REMEMBERED = 65_536

# Longer ids are remembered by their hash, which bounds the memory.
_LONGEST = 128

# Where tokens are not what is counted. Of two observers one may not state them.
_MEDIA = ("audio_ms", "characters", "images")

# Local servers number their answers from a small range; such an id tells calls of one node apart, and no others.
_UNIQUE_FROM = 16


def without_tapped(claims: Iterable[Group], tapped: Iterable[Group]) -> list[Group]:
    """The claims of a node whose calls no tap saw there. Each tapped call answers for one claim. Pure."""
    left = list(tapped)
    tapped_ids = {group["response_id"] for group in left if group.get("response_id")}
    answered: set[str] = set()
    unmatched: list[Group] = []
    for claim in claims:
        response_id = claim.get("response_id", "")
        if response_id in answered:
            continue
        if response_id:
            answered.add(response_id)
        if response_id not in tapped_ids:
            unmatched.append(claim)
        else:
            # A call may have several: sub-models that were billed beside it have its id.
            left = [group for group in left if group.get("response_id") != response_id]
    kept: list[Group] = []
    for claim in unmatched:
        place = next((place for place, group in enumerate(left) if _same_call(claim, group)), None)
        if place is None:
            kept.append(claim)
        else:
            del left[place]
    return kept


def _same_call(claim: Group, tapped: Group) -> bool:
    # Two ids that differ are two calls, whatever they counted.
    if claim.get("response_id") and tapped.get("response_id"):
        return False
    return (
        _same_model(claim.get("model", ""), tapped.get("model", ""))
        and all(claim.get(name, 0) == tapped.get(name, 0) for name in ("input_tokens", "output_tokens"))
        and all(claim[name] == tapped[name] for name in _MEDIA if name in claim and name in tapped)
    )


def _same_model(claimed: str, tapped: str) -> bool:
    # A framework often knows the alias that was asked for; the answer names the dated version of it.
    return not claimed or not tapped or tapped.startswith(claimed) or claimed.startswith(tapped)


class Seen:
    """Which response ids were counted lately, over all nodes. Bounded; for the emitter's thread alone."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._ids: OrderedDict[str, str] = OrderedDict()

    def counts(self, group: Group, observer: str) -> bool:
        """Whether a call is to be counted; it is then remembered. False if it was counted before.

        `observer` is the note's kind. A tap is believed when it sees an id again, because the provider has answered
        twice, and so is the executor (`ai`); a claim is not.
        """
        response_id = group.get("response_id", "")
        if len(response_id) < _UNIQUE_FROM:
            return True
        mark = response_id if len(response_id) <= _LONGEST else str(hash(response_id))
        known = self._ids.get(mark)
        if known is not None and (known != observer or observer == "claimed"):
            return False
        self._ids[mark] = observer
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return True
