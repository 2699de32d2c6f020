"""Wrapping and unwrapping, by wrapt. Each library's tap has one `Patches` and hands it what it wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wrapt

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
_MISSING = object()


class Patches:
    """What was wrapped, in order."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Wrap an attribute of a class. Raises AttributeError if the class has none of this name."""
        before = vars(owner).get(name, _MISSING)
        after = wrapt.wrap_function_wrapper(owner, name, wrapper)
        self._done.append((owner, name, before, after))

    def undo(self) -> None:
        """Put the originals back, the last first. What others wrapped over ours stays; ours then passes calls on."""
        while self._done:
            owner, name, before, after = self._done.pop()
            if vars(owner).get(name) is not after:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
