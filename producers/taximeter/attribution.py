"""Attribution: who is billed, and for what; constant over a run, so it is read once and shared by all its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from taximeter import accept
from taximeter.faults import Faults
from taximeter_schemas.words import Context

Attribution = Mapping[str, Any]
"""Fields of `MeterEvent` by name. Never changed once made; an encoder may keep what it wrote for one."""


class Subject(TypedDict, total=False):
    """Who a run is for. All of it is optional."""

    account_id: str | None
    user_id: str | None
    project_id: str | None
    workflow_id: str | None
    parent_run_id: str | None
    thread_id: str | None
    transaction_id: str | None
    context: Context | str | None
    tags: Mapping[str, str] | None
    key_id: str | None
    """The name of the API key by which the customer came, never the key itself; it becomes the tag `key_id`."""


class RunWords(Subject, total=False):
    """What a run may say about itself."""

    run_id: str | None


class RunOptions(RunWords, total=False):
    """What a run may ask for besides."""

    trigger: str | None
    deliver: Literal["progressively", "at_end"] | None


_RULES: Mapping[str, accept.Rule] = {
    "account_id": accept.text,
    "user_id": accept.text,
    "project_id": accept.text,
    "workflow_id": accept.text,
    "run_id": accept.text,
    "parent_run_id": accept.text,
    "thread_id": accept.text,
    "transaction_id": accept.text,
    "context": Context,
    "tags": accept.texts,
    "key_id": accept.text,
}
KEY_TAG = "key_id"

# A run inside a run works for the same customer unless it says otherwise.
_INHERITED = ("account_id", "user_id", "project_id", "thread_id", "transaction_id", "context", "tags")


def attribute(
    words: Mapping[str, object], enclosing: Attribution, defaults: Attribution, faults: Faults
) -> Attribution:
    """A run's attribution: what it says, else what the enclosing run says, else the settings' defaults.

    `parent_run_id` is the enclosing run's id unless given. An empty `run_id` is left for the caller to fill.
    """
    inherited = {name: enclosing[name] for name in _INHERITED if enclosing.get(name)}
    if enclosing.get("run_id"):
        inherited["parent_run_id"] = enclosing["run_id"]
    said = accept.take(words, _RULES, faults, "run")
    key = said.pop(KEY_TAG, None)
    attribution = {**defaults, **inherited, **said}
    tags = attribution.get("tags") or {}
    if key is None and KEY_TAG not in tags:
        # Own tags take the place of inherited ones; by whose key the customer came stays the same.
        key = (enclosing.get("tags") or defaults.get("tags") or {}).get(KEY_TAG)
    return attribution | {"tags": {**tags, KEY_TAG: key}} if key else attribution
