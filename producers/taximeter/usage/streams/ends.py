"""Finds what a long JSON object states at its ends, where providers put usage, model and id.

Only keys of the object itself count. In its last bytes a key is the object's own when exactly one bracket is left to
close behind it. One pass from the end, so that the time is linear whatever the bytes hold.
"""

from __future__ import annotations

import json
import re
from functools import cache

from taximeter.usage.table import table

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')
_NET = {"}": 1, "]": 1, "{": -1, "[": -1}
_NAMES = ("model", "id", "modelVersion", "responseId", "object")
_NAME_FIRST = re.compile(rf'"({"|".join(_NAMES)})"\s*:\s*("(?:[^"\\]|\\.)*")')
_FIRST = 4096
_DECODER = json.JSONDecoder()


def at_the_ends(first: bytes, last: bytes) -> bytes | None:
    """A small document with the usage, model and id that stand at the ends of a large one, or None without usage."""
    head, tail = first[:_FIRST].decode("utf-8", "replace"), last.decode("utf-8", "replace")
    small: dict[str, object] = {}
    depth, end = 0, len(tail)
    for found in reversed(list(_keys().finditer(tail))):
        depth += sum(_NET.get(token[0], 0) for token in _TOKEN.finditer(tail, found.start(), end))
        end = found.start()
        if depth == 1 and found[1] not in small:
            try:
                small[found[1]] = _DECODER.raw_decode(tail, found.end())[0]
            except (ValueError, RecursionError):
                continue
    if not any(isinstance(value, dict) for value in small.values()):
        return None
    for name in _NAME_FIRST.finditer(head):
        small.setdefault(name[1], _DECODER.raw_decode(name[2])[0])
    return json.dumps(small).encode()


@cache
def _keys() -> re.Pattern[str]:
    """The keys that name a response or state its use, with the beginning of their value."""
    usage = {root[0] for shape in table().shapes for root in shape.roots if root}
    return re.compile(rf'"({"|".join(map(re.escape, sorted({*usage, *_NAMES})))})"\s*:\s*(?=[{{"])')
