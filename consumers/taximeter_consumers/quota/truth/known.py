"""What the owner of a root knows of it, and so what the truth must be asked about. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """The levels (keys as of `level_key`) that commands have named, and the transactions whose holds still claim."""

    levels: frozenset[str] = frozenset()
    transactions: frozenset[str] = frozenset()
