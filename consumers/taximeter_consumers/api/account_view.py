"""The usage bar as routes show it: settings at most seconds old, and the quota service's word where it gives one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from taximeter_consumers.api.reads.account_usage import account_usage
from taximeter_consumers.quota.plans.setting_rows import read_directory
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.quota.subject import Subject

if TYPE_CHECKING:
    from taximeter_consumers.api.models.account import AccountUsage
    from taximeter_consumers.api.services import Services
    from taximeter_schemas.quota.answers import Standing

_log = structlog.get_logger()


def usage_bar(services: Services, account_id: str) -> AccountUsage:
    """Of an account, now. Raises Retryable where ClickHouse is away."""
    clickhouse = services.reads.get()
    directory = services.directories.get("", lambda: read_directory(clickhouse))
    return account_usage(clickhouse, directory, account_id, services.now(), _standings(services, account_id))


def _standings(services: Services, account_id: str) -> tuple[Standing, ...]:
    if services.quota is None:
        return ()
    try:
        return services.quota.show(Subject(account_id=account_id)).standings
    except TaximeterError as error:
        _log.warning("the usage bar goes on without the quota service", error=str(error))
        return ()
