"""`taximeter quota alerts`: thresholds that were reached, to webhooks or to standard output."""

from __future__ import annotations

from typing import Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.reach import asking_kafka
from taximeter_infra.cli.serving import MetricsOption, running


@told_plainly
def alerts(
    printed: Annotated[bool, typer.Option("--print", help="One JSON line for each on stdout instead of POSTs")] = False,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when all that lies in the topic is delivered")
    ] = False,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="The consumer group", show_default="TAXIMETER_ALERT_GROUP_ID")
    ] = None,
    metrics: MetricsOption = "",
) -> None:
    """Tell about thresholds that were reached. Who starts anew goes on where the group stopped.

    Each alert is POSTed as JSON to every URL of TAXIMETER_ALERT_WEBHOOK_URLS
    (a JSON list), signed as Standard Webhooks says with
    TAXIMETER_ALERT_WEBHOOK_SECRET (whsec_ and base64). It may come twice after
    a crash, under the same webhook-id.

    \b
    Examples:
      taximeter quota alerts --metrics 127.0.0.1:9104
      taximeter quota alerts --print --until-caught-up
    """
    from taximeter_consumers.quota.alerts.alerts_out import follow_alerts, printed_lines
    from taximeter_consumers.quota.alerts.webhooks import Webhooks
    from taximeter_consumers.quota.service.settings import AlertSettings
    from taximeter_infra.cli import context

    with running("quota-alerts", metrics) as stop:
        settings = context.settings_of(AlertSettings, {} if group is None else {"group_id": group})
        webhooks = None if printed else Webhooks(settings, stop)
        deliver = printed_lines(typer.echo) if webhooks is None else webhooks.deliver
        kafka = context.kafka_settings()
        with asking_kafka(kafka):
            pass
        topic = context.topic_settings().alerts
        told = follow_alerts(kafka, topic, settings, deliver, stop, until_caught_up=until_caught_up)
        if webhooks is not None:
            webhooks.close()
    typer.echo(f"{told.delivered:,} alerts delivered, {told.given_up:,} given up", err=True)


def register(app: typer.Typer) -> None:
    """Put this command on `taximeter quota`."""
    app.command(short_help="Tell about thresholds that were reached.")(alerts)
