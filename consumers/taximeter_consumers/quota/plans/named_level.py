"""A level as its key names it: the other way round of `level_key`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from taximeter_schemas.quota.subject import LevelKind, level_key


@dataclass(frozen=True, order=True)
class Level:
    """`account_id` is empty for an organisation, `name` for an account."""

    kind: LevelKind
    account_id: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """Its key."""
        if self.kind is LevelKind.ORGANISATION:
            return level_key(self.kind, self.name)
        if self.kind is LevelKind.ACCOUNT:
            return level_key(self.kind, self.account_id)
        return level_key(self.kind, self.account_id, self.name)


def level_of(key: str) -> Level:
    """The level of a key. Raises ValueError for what is none."""
    first, *rest = key.split("/")
    kind = LevelKind(first)
    names = [unquote(name) for name in rest]
    if kind is LevelKind.ORGANISATION and len(names) == 1:
        return Level(kind, "", names[0])
    if kind is LevelKind.ACCOUNT and len(names) == 1:
        return Level(kind, names[0])
    if kind not in (LevelKind.ORGANISATION, LevelKind.ACCOUNT) and len(names) == 2:
        return Level(kind, names[0], names[1])
    raise ValueError(f"{key!r} names no level")


def organisation(organisation_id: str) -> Level:
    """The level of an organisation."""
    return Level(LevelKind.ORGANISATION, "", organisation_id)


def account(account_id: str) -> Level:
    """The level of an account."""
    return Level(LevelKind.ACCOUNT, account_id)
