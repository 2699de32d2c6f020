"""Subjects: who uses. They form a tree; a limit counts at one level of it.

organisation / account / project / user / key, and the run with everything that runs inside it. Projects, users, keys
and runs are named within their account. All levels of a tree are decided by one owner, so `root` names the widest one:
the organisation if the account belongs to one, else the account.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import quote
from zlib import crc32

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(max_length=1024)]


class LevelKind(StrEnum):
    """The levels, from the widest to the narrowest."""

    ORGANISATION = "organisation"
    ACCOUNT = "account"
    PROJECT = "project"
    USER = "user"
    KEY = "key"
    RUN = "run"


ORDER: Final = tuple(LevelKind)


class Subject(BaseModel):
    """Who uses. Empty: that level is not named, and no limit of it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    organisation_id: Name = ""
    project_id: Name = ""
    user_id: Name = ""
    key_id: Name = ""
    run_id: Name = ""

    @property
    def root(self) -> str:
        """The key of everything that is decided together with this subject."""
        if self.organisation_id:
            return level_key(LevelKind.ORGANISATION, self.organisation_id)
        return level_key(LevelKind.ACCOUNT, self.account_id)

    @property
    def levels(self) -> tuple[str, ...]:
        """The keys of its levels, the widest first."""
        account = level_key(LevelKind.ACCOUNT, self.account_id)
        organisation = (level_key(LevelKind.ORGANISATION, self.organisation_id),) if self.organisation_id else ()
        narrower = (
            (LevelKind.PROJECT, self.project_id),
            (LevelKind.USER, self.user_id),
            (LevelKind.KEY, self.key_id),
            (LevelKind.RUN, self.run_id),
        )
        return (*organisation, account, *(level_key(kind, self.account_id, name) for kind, name in narrower if name))


def level_key(kind: LevelKind, *names: str) -> str:
    """The text that names one level, like `account/acme` or `user/acme/ada`. Names are percent-encoded."""
    return "/".join((kind.value, *(quote(name, safe="") for name in names)))


def partition_of(root: str, partitions: int) -> int:
    """The partition of the quota topics where `root` is decided. Kafka is told it; no client's own choice counts."""
    return crc32(root.encode()) % partitions
