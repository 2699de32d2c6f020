"""`taximeter quota`: who may use how much. Each of its commands, or group of them, lives in a file of its own."""

from __future__ import annotations

import typer

from taximeter_infra.cli import quota_alerts, quota_ask, quota_assign, quota_plans, quota_service
from taximeter_infra.cli.panels import Panel

quota = typer.Typer(no_args_is_help=True, help="Limit what accounts, users and runs use; decide, show, alert.")

# The order in which a newcomer needs them. Every module has `register(app)`.
for module in (
    quota_plans,
    quota_assign,
    quota_service,
    quota_ask,
    quota_alerts,
):
    module.register(quota)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `quota`."""
    app.add_typer(quota, name="quota", rich_help_panel=Panel.QUOTAS)
