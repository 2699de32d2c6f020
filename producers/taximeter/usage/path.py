"""Paths into a JSON document, as the table of providers writes them.

`a.b` walks keys and list places, `a.*.b` every item of a list, `a.[kind=X].b` the items whose `kind` is X, `a.#` is the
length of a list. A path with `*` or `[...]` states the sum of what it finds. Walking never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

Path = tuple[str, ...]

_MATCH = re.compile(r"\[(\w+)=([^\]]*)\]")


@cache
def path(text: str) -> Path:
    """Compile a path. Keys that hold a dot cannot be written; no provider has one."""
    return tuple(text.split(".")) if text else ()


def find(document: object, steps: Path) -> object:
    """The first thing at a path, or None."""
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def find_all(document: object, steps: Path) -> list[object]:
    """Everything at a path that is not null."""
    for place, step in enumerate(steps):
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list):
            items = _items(document, step)
            if items is not None:
                return [found for item in items for found in find_all(item, steps[place + 1 :])]
            document = (len(document) or None) if step == "#" else find(document, (step,))
        else:
            return []
    return [] if document is None else [document]


def _items(document: list[object], step: str) -> Iterable[object] | None:
    """The items that a wildcard stands for, or None where the step is no wildcard."""
    if step == "*":
        return document
    wanted = _MATCH.fullmatch(step)
    if wanted is None:
        return None
    key, value = wanted.groups()
    return (item for item in document if find(item, (key,)) == value)
