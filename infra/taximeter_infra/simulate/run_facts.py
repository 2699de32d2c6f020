"""Who a simulated run belongs to: drawn once per run, equal on all its events.

Accounts, users and workflows follow a skewed distribution: the k-th is taken in proportion to 1/k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

from taximeter_infra.simulate.catalogue import TEAMS, WORKFLOWS
from taximeter_schemas.event import Context
from taximeter_schemas.uuid7 import compose

_USERS_PER_ACCOUNT = 9
_PROJECTS_PER_ACCOUNT = 4


@dataclass(frozen=True)
class RunFacts:
    """`identity` holds the fields of `MeterEvent` that are the same over the run; `started_us` is Unix microseconds."""

    identity: dict[str, Any]
    started_us: int

    @property
    def run_id(self) -> str:
        """The run's id, time-ordered."""
        return str(self.identity["run_id"])

    @property
    def account_id(self) -> str:
        """Who is billed."""
        return str(self.identity["account_id"])


def rng_of_run(salt: str, index: int) -> Random:
    """The randomness of one run; text, so that neighbouring seeds share nothing."""
    return Random(f"{salt}/{index}")  # noqa: S311 - a simulation, not a secret


def draw_facts(rng: Random, accounts: int, started_us: int, latest_run: dict[str, str]) -> RunFacts:
    """The facts of a new run. `latest_run` (account to run id) gives some runs a parent, and learns this one."""
    account = skewed(rng, accounts)
    account_id = f"acct-{account:03d}"
    workflow = WORKFLOWS[skewed(rng, len(WORKFLOWS)) - 1]
    run_id = str(compose(started_us // 1000, rng.randbytes(10)))
    has_parent = rng.random() < 0.08
    in_thread = rng.random() < 0.3
    identity: dict[str, Any] = {
        "account_id": account_id,
        "user_id": f"user-{account:03d}-{skewed(rng, _USERS_PER_ACCOUNT):02d}",
        "project_id": f"proj-{account:03d}-{skewed(rng, _PROJECTS_PER_ACCOUNT)}",
        "workflow_id": workflow,
        "run_id": run_id,
        "parent_run_id": latest_run.get(account_id, "") if has_parent else "",
        "thread_id": f"thread-{rng.randrange(1 << 32):08x}" if in_thread else "",
        "context": Context.SYSTEM if rng.random() < 0.03 else Context.CUSTOMER,
        "tags": {"team": rng.choice(TEAMS), "env": "prod"} if rng.random() < 0.7 else {},
    }
    latest_run[account_id] = run_id
    return RunFacts(identity, started_us)


def skewed(rng: Random, count: int) -> int:
    """A number from 1 to `count`, k in proportion to 1/k."""
    return rng.choices(range(1, count + 1), cum_weights=_harmonic(count))[0]


@cache
def _harmonic(count: int) -> Sequence[float]:
    return tuple(accumulate(1 / rank for rank in range(1, count + 1)))
