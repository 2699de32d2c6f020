"""The pure parts of the sink's benchmark: rows and columns, the limit's file, rounds to ratios, options."""

from __future__ import annotations

import io
import re
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest
from bench.sink import backlog, columns, engine, limit, load, peers, registry, scaling, summary, track
from bench.sink.__main__ import QUICK, command, parse, wish_of
from bench.sink.rounds import SCHEMA, Round
from bench.sink.rows import Rows
from bench.sink.task import Task

from taximeter_schemas import avro_files, frame
from taximeter_schemas.uuid7 import new_event_id

SLOW = Round(events=1_000_000, startup=1.0, seconds=4.0, client_cpu=2.0, server_cpu=1.0, parts=10)
FAST = Round(events=1_000_000, startup=0.5, seconds=1.0, client_cpu=0.5, server_cpu=0.5, parts=2)
LIMIT = Round(events=1_000_000, startup=0.0, seconds=0.5, client_cpu=0.0, server_cpu=0.5, parts=1)
NOW = datetime(2026, 6, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def event(**fields: Any) -> dict[str, Any]:
    """An event as fastavro reads it, with the schema's defaults."""
    defaults = {field["name"]: field["default"] for field in SCHEMA["fields"] if "default" in field}
    return {**defaults, "event_id": new_event_id(), "occurred_at": NOW, **fields}


def body(made: dict[str, Any]) -> bytes:
    """Its Avro body."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, avro_files.parsed(avro_files.CURRENT_VERSION), made)
    return out.getvalue()


def test_every_column_of_the_table_is_written_but_none_that_it_lacks() -> None:
    """By the migrations' own words."""
    migrations = Path("infra/taximeter_infra/migrations")
    text = (migrations / "0001_events.sql").read_text(encoding="utf-8")
    table = text[text.index("(\n") : text.index("INDEX run_ids")]
    told = [line.split()[0] for line in table.splitlines()[1:] if line[4:5].isalpha()]
    added = (migrations / "0007_event_units.sql").read_text(encoding="utf-8").partition(";\n")[0]
    told += re.findall(r"ADD COLUMN IF NOT EXISTS (\w+)", added)
    assert sorted(told) == sorted(columns.columns(SCHEMA))
    assert columns.SCHEMA_ID == avro_files.CURRENT_VERSION


def test_a_row_has_a_value_for_every_column() -> None:
    """A group that is null gives the columns their empty values."""
    rows = Rows(SCHEMA, "t")
    given = event(account_id="a", http={"requests": 3, "bytes_out": 1, "bytes_in": 2, "errors": 0})
    row = dict(zip(rows.names, rows.row(given, 4, 17, 1_780_000_000_123), strict=True))
    assert (row["account_id"], row["http_requests"], row["http_bytes_in"]) == ("a", 3, 2)
    assert (row["model"], row["input_tokens"], row["reported_cost"], row["custom_units"]) == ("", 0, None, {})
    assert (row["kafka_topic"], row["kafka_partition"], row["kafka_offset"]) == ("t", 4, 17)
    assert row["id_time"].timestamp() * 1000 == pytest.approx(given["event_id"].int >> 80)
    assert row["version"] == 2**64 - 1 - ((1_780_000_000_123 << 22) | 17)


def test_the_limits_file_is_avro_that_anybody_can_read(tmp_path: Path) -> None:
    """The coordinates stand before the event's own fields, over more than one block."""
    count = limit.BLOCK_RECORDS + 1
    made = event(node_id="n")
    path = tmp_path / "limit.avro"
    assert limit.write_file(path, SCHEMA, ((3, number, 99, body(made)) for number in range(count))) == count
    with path.open("rb") as file:
        found: list[Any] = list(fastavro.reader(file))
    assert [record["_offset"] for record in found] == list(range(count))
    assert {(record["_partition"], record["_arrived_ms"], record["node_id"]) for record in found} == {(3, 99, "n")}


def test_the_expressions_pair_up_with_the_columns() -> None:
    """For the limit and for the engine alike."""
    where = {"topic": "'t'", "partition": "p", "offset": "o", "arrived_ms": "a"}
    assert len(columns.select(SCHEMA, where)) == len(columns.columns(SCHEMA))
    table, view = engine.statements(SCHEMA, engine.Queue("b:1", "http://r", "t", "g", 2))
    assert "AvroConfluent" in table
    assert view.count(" AS `") == len(columns.columns(SCHEMA))


def test_more_is_better_in_every_ratio() -> None:
    """Four times as quick for a third of the CPU time; half of the limit."""
    found = summary.ratios({"sink": [FAST], "usual": [SLOW], "limit": [LIMIT]})
    assert found["wall_vs_usual"] == (4.0,)
    assert found["cpu_vs_usual"] == (3.0,)
    assert (found["wall_vs_limit"], found["cpu_vs_limit"]) == ((0.5,), (0.5,))
    assert "wall_vs_kafka_engine" not in found


def test_backlogs_of_two_sizes_are_compared_by_the_row() -> None:
    """A tenth of the events in the same time is a tenth of the rate, and ten times the CPU for each."""
    found = summary.ratios({"sink": [FAST], "usual": [replace(FAST, events=100_000)]})
    assert (*found["wall_vs_usual"], *found["cpu_vs_usual"]) == pytest.approx((10.0, 10.0))


def test_cpu_is_told_apart_for_each_row() -> None:
    """Client and server, microseconds; a path without start-up has no such sample."""
    found = summary.samples({"sink": [FAST], "limit": [LIMIT]})
    assert (found["sink"].values, found["sink_client_cpu"].values) == ((1_000_000.0,), (0.5,))
    assert found["limit_server_cpu"].values == (0.5,)
    assert "limit_startup" not in found


def test_the_better_peer_is_the_quicker_one() -> None:
    """And there is none without trials."""
    assert summary.best({"a": SLOW, "b": FAST}) == "b"
    assert summary.best({}) is None


def test_scaling_is_told_against_one_sink() -> None:
    """Each with the one of the same round."""
    assert summary.scaling_ratios({1: [2.0, 3.0], 2: [1.0, 2.0]}) == {"scaling_2_vs_1": (2.0, 1.5)}


def test_cpu_time_is_read_between_looks() -> None:
    """Straight between two, the nearest outside of them."""
    looks = [(10.0, 1.0), (20.0, 3.0)]
    assert [track.cpu_at(looks, when) for when in (5.0, 10.0, 15.0, 20.0, 25.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]
    with pytest.raises(ValueError, match="looked"):
        track.cpu_at([], 1.0)


def test_the_cpu_time_of_this_very_process_can_be_tracked() -> None:
    """And one that was never there has used none."""
    import os

    with track.tracking({"self": os.getpid, "nobody": lambda: None}) as found:
        pass
    assert found.looks["self"][0][1] > 0
    assert found.between("nobody", 0.0, 1.0) == 0.0


def test_sinks_share_the_partitions_when_all_are_given_out() -> None:
    """More sinks than partitions leave some without."""
    assert scaling.is_shared([3, 3, 3, 3], 4, 12)
    assert scaling.is_shared([1, 1, 0], 2, 2)
    assert not scaling.is_shared([12, 0, 0, 0], 4, 12)
    assert not scaling.is_shared([], 1, 12)


def test_the_load_catches_up_with_its_rate_and_never_runs_ahead() -> None:
    """By elapsed time."""
    assert load.due(100.0, 2.0, 150) == 50
    assert load.due(100.0, 2.0, 300) == 0


def test_a_probe_is_a_message_like_the_others_made_now() -> None:
    """Only account, id and time are its own."""
    model = frame.header(columns.SCHEMA_ID) + body(event(account_id="a", node_id="n"))
    schema_id, found = frame.split(load.probe(model, NOW))
    told: Any = fastavro.schemaless_reader(io.BytesIO(found), avro_files.parsed(schema_id), None)
    assert (told["account_id"], told["occurred_at"], told["node_id"]) == (load.ACCOUNT, NOW, "n")


def test_what_must_be_stored_is_counted_without_the_engine() -> None:
    """Events and tokens; every message is noted."""
    record = next(columns.group_of(field["type"]) for field in SCHEMA["fields"] if field["name"] == "ai") or {}
    ai = {field["name"]: field["default"] for field in record["fields"]} | {"input_tokens": 7}
    values = [frame.header(columns.SCHEMA_ID) + body(one) for one in (event(ai=ai), event())]
    noted: list[backlog.Message] = []
    messages = (backlog.Message(0, number, 1, None, value) for number, value in enumerate(values))
    assert backlog.expectation(messages, noted.append) == backlog.Expected(2, 7)
    assert [message.offset for message in noted] == [0, 1]


def test_the_registry_knows_the_packaged_schemas_and_no_others() -> None:
    """Over HTTP, whatever the client adds to the query."""
    with registry.serve() as url:
        task = Task("b", "c", "d", url, "t", "g", 1)
        assert task.schema() == SCHEMA
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{url}/schemas/ids/{avro_files.CURRENT_VERSION + 1}?fetchMaxId=false")
        refused.value.close()


def test_a_task_travels_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was, password and all."""
    task = Task("b:1", "http://u:p@h:1", "d", "http://r", "t", "g", 5)
    for name, value in task.environment().items():
        monkeypatch.setenv(name, value)
    assert Task.of_environment() == task


def test_the_peers_versions_are_pinned_and_name_no_registry() -> None:
    """Every line is a version or a comment."""
    for peer in peers.PEERS:
        lines = Path(f"bench/peers-{peer}-constraints.txt").read_text(encoding="utf-8").splitlines()
        pinned = [line for line in lines if not line.startswith("#")]
        assert pinned
        assert all("==" in line and "/" not in line for line in pinned)


def test_the_command_of_a_report_asks_for_the_same() -> None:
    """With every default spelt out."""
    for argv in ([], ["--quick"], ["--long"], ["--events", "7", "--peer-events", "3", "--backlogs", "5,6"]):
        options = parse(argv)
        assert wish_of(parse(command(options).split()[3:])) == wish_of(options)
    assert wish_of(parse(["--quick"])) == QUICK


@pytest.mark.parametrize(
    "wrong",
    [["--events", "0"], ["--peer-events", "0"], ["--rounds", "-1"], ["--backlogs", "1,x"], ["--quick", "--long"]],
)
def test_options_of_the_sinks_benchmark_that_make_no_sense_are_refused(wrong: list[str]) -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        parse(wrong)
