"""`taximeter replay --to-clickhouse`: into the live tables, where what is there already stays as it is."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from taximeter_infra.cli import context
from taximeter_infra.cli.failures import ExitCode
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.replay_progress import progress
from taximeter_infra.cli.replay_run import log_of, opened, say_gone

if TYPE_CHECKING:
    from taximeter_consumers.replay.source import Source
    from taximeter_infra.cli.replay_options import Options

_STATEMENT_SECONDS = 3_600


def run_clickhouse(options: Options, now: datetime) -> None:
    """Stores, then rolls up. Raises typer.Exit with code 3 where messages were undecodable."""
    from taximeter_consumers.replay.into_clickhouse import Conduct, Wish, store
    from taximeter_consumers.replay.pace import Pace

    registry, wanted = context.registry(), options.range.parsed(now)
    settings = context.clickhouse_settings()
    with (
        closing(open_clickhouse(settings, timeout_seconds=_STATEMENT_SECONDS)) as clickhouse,
        opened(options, registry) as source,
    ):
        say_gone(source.spans(wanted))
        wish = Wish(wanted, options.wanted.parsed(now), registry, _settled(options, source))
        conduct = Conduct(Pace(options.rate), progress)
        stored, left_out = store(source, log_of(options, source), wish, clickhouse, conduct)
    bad = stored.bad + left_out
    done = {"stored": stored.records - stored.bad, "undecodable": bad, "batches": stored.batches}
    told_so = (
        f"{done['stored']:,} events stored in {stored.batches:,} batches, {bad:,} undecodable; rollups are up to date"
    )
    typer.echo(json.dumps(done, indent=2) if options.as_json else told_so)
    if bad and not options.skip_bad:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _settled(options: Options, source: Source) -> dict[int, int]:
    """Where the sink stands in a topic; nothing where the source is none."""
    from taximeter_consumers.audit.log import LogProbe
    from taximeter_consumers.sink.settings import SinkSettings

    if options.range.from_archive:
        return {}
    group = context.settings_of(SinkSettings, {}).group_id
    with closing(LogProbe(context.kafka_settings(), source.topic, group)) as probe:
        committed = probe.committed(sorted(source.partitions))
    return {partition: offset for partition, offset in committed.items() if offset is not None}
