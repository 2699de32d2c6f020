"""`taximeter api`: the HTTP API."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel

if TYPE_CHECKING:
    from taximeter_consumers.api.services import Services
    from taximeter_consumers.api.settings import ApiSettings
from taximeter_schemas.errors import Misconfigured


@told_plainly
def api(
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 or :: is every address of this machine")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one")] = 8080,
    kafka: Annotated[
        bool, typer.Option(help="Whether it takes events, asks the quota service, and looks at Kafka for readiness")
    ] = True,
) -> None:
    """Answer HTTP: runs, usage, prices, invoices, exports, events, quotas. Needs a key: `taximeter keys create`.

    Routes are listed at /docs and described at /openapi.json. It starts
    without ClickHouse and answers 503 until that is there. Logs go to stderr,
    one line for each request, without queries and keys.

    \b
    Examples:
      taximeter api
      taximeter api --port 0
      curl -H "Authorization: Bearer $TAXIMETER_API_KEY" 127.0.0.1:8080/v1/usage/summary
    """
    try:
        import fastapi  # noqa: F401 - whether it is there
        import uvicorn  # noqa: F401 - the same
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{error.name} is not installed", mend="pip install 'taximeter[api]'") from error
    from taximeter_consumers.api.app import create_app
    from taximeter_consumers.api.server import listen, serve
    from taximeter_consumers.api.services import services_of
    from taximeter_consumers.api.settings import ApiSettings
    from taximeter_infra.cli import context
    from taximeter_infra.logs import configure_logs
    from taximeter_infra.signals import stop_on_signals

    configure_logs()
    stop = stop_on_signals()
    settings = context.settings_of(ApiSettings, {})
    services = _with_kafka(settings) if kafka else services_of(context.clickhouse_settings(), settings)
    listener = listen(host, port)
    place = f"[{host}]" if ":" in host else host
    where = f"http://{place}:{listener.getsockname()[1]}"
    application = create_app(services)
    # What is there now stays for good. A full collection that walks through it takes 80 ms, in the middle of a request.
    gc.collect()
    gc.freeze()
    serve(application, listener, stop, lambda: typer.echo(f"the API answers at {where}; its routes: {where}/docs"))


def _with_kafka(settings: ApiSettings) -> Services:
    from taximeter.quota import QuotaClient, QuotaSettings
    from taximeter.quota.asker import Asker
    from taximeter_consumers.api.event_sender import KafkaEventSender
    from taximeter_consumers.api.services import services_of
    from taximeter_consumers.api.sink_lag import KafkaSinkLag
    from taximeter_infra.cli import context

    kafka, topics = context.kafka_settings(), context.topic_settings()
    return services_of(
        context.clickhouse_settings(),
        settings,
        KafkaSinkLag(kafka, topics.events, settings.sink_group_id),
        events=KafkaEventSender(kafka, topics.events, context.registry()),
        quota=QuotaClient(Asker(kafka, topics), QuotaSettings.from_environment()),
    )


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="The HTTP API.", rich_help_panel=Panel.ANSWERS)(api)
