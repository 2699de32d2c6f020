"""Whose use a run's is, by its attribution."""

from __future__ import annotations

from functools import lru_cache

from taximeter.attribution import KEY_TAG
from taximeter.run import Run
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.subject import Subject


def subject_of(run: Run, *, per_run: bool = False) -> Subject:
    """Account, project, user and key of a run; with `per_run` the run too. Raises Misconfigured without an account."""
    said = run.attribution
    account = said.get("account_id", "")
    if not account:
        raise Misconfigured(
            f"the run {run.run_id} names no account, so no quota can be asked for it",
            mend="give meter.run(account_id=...), or set TAXIMETER_METER_DEFAULT_ACCOUNT_ID",
        )
    key = said.get("tags", {}).get(KEY_TAG, "")
    names = (account, said.get("project_id", ""), said.get("user_id", ""), key)
    return _subject(*names, run.run_id) if per_run else _known(*names)


def _subject(account_id: str, project_id: str, user_id: str, key_id: str, run_id: str = "") -> Subject:
    return Subject(account_id=account_id, project_id=project_id, user_id=user_id, key_id=key_id, run_id=run_id)


_known = lru_cache(maxsize=4_096)(_subject)
