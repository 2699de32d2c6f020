"""The accumulators of a node against a tiny model: plain sums over a list of records."""

from __future__ import annotations

import threading
from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter.testing import memory_meter
from taximeter_schemas.event import MeterEvent

_counts = st.integers(0, 50_000)
_ai = st.fixed_dictionaries(
    {"model": st.sampled_from(["a", "b"])},
    optional={
        "input_tokens": _counts,
        "output_tokens": _counts,
        "images": _counts,
        "units": st.dictionaries(st.sampled_from(["web_searches", "input_audio_tokens"]), _counts),
        "service_tier": st.sampled_from(["flex", "default"]),
        "reported_cost": st.integers(0, 10**6).map(lambda nanos: Decimal(nanos).scaleb(-9)),
    },
)
_http = st.fixed_dictionaries({}, optional=dict.fromkeys(("requests", "bytes_out", "bytes_in", "errors"), _counts))
_plugin = st.fixed_dictionaries(
    {"plugin_id": st.sampled_from(["pdf", "ocr"]), "invocations": _counts},
    optional={"units": st.dictionaries(st.sampled_from(["pages", "words"]), _counts)},
)
_code = st.fixed_dictionaries({"cpu_us": _counts, "max_rss_bytes": _counts})
_record = st.one_of(*(st.tuples(st.just(kind), words) for kind, words in
                      (("ai", _ai), ("http", _http), ("plugin", _plugin), ("code", _code))))  # fmt: skip


def _modelled(records: list[tuple[str, dict[str, Any]]]) -> dict[Any, Any]:
    sums: dict[Any, Any] = defaultdict(int)
    for kind, words in records:
        match kind:
            case "ai":
                for name in ("input_tokens", "output_tokens", "images", "reported_cost"):
                    sums[words["model"], name] += words.get(name, 0)
                for unit, count in words.get("units", {}).items():
                    sums[words["model"], words.get("service_tier"), unit] += count
            case "http":
                for name in ("requests", "bytes_out", "bytes_in", "errors"):
                    sums[name] += words.get(name, 1 if name == "requests" else 0)
            case "plugin":
                sums[words["plugin_id"], "invocations"] += words["invocations"]
                for unit, amount in words.get("units", {}).items():
                    sums[words["plugin_id"], unit] += amount
            case "code":
                sums["cpu_us"] += words["cpu_us"]
                sums["max_rss_bytes"] = max(sums["max_rss_bytes"], words["max_rss_bytes"])
    return {key: value for key, value in sums.items() if value}


def _emitted(events: list[MeterEvent]) -> dict[Any, Any]:
    sums: dict[Any, Any] = defaultdict(int)
    for event in events:
        if event.ai:
            for name in ("input_tokens", "output_tokens", "images", "reported_cost"):
                sums[event.ai.model, name] += getattr(event.ai, name) or 0
            tier = {"standard": "default", "": None}.get(event.ai.service_tier, event.ai.service_tier)
            for unit, count in event.ai.units.items():
                if unit != "requests":
                    sums[event.ai.model, tier, unit] += count
        for name, value in (event.http.model_dump() if event.http else {}).items():
            sums[name] += value
        if event.plugin:
            sums[event.plugin.plugin_id, "invocations"] += event.plugin.invocations
            for unit, amount in event.plugin.custom_units.items():
                sums[event.plugin.plugin_id, unit] += amount
        if event.code:
            sums["cpu_us"] += event.code.cpu_us
            sums["max_rss_bytes"] = max(sums["max_rss_bytes"], event.code.max_rss_bytes)
    return {key: value for key, value in sums.items() if value}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(_record, max_size=8), min_size=1, max_size=3), st.booleans())
def test_any_records_from_any_threads_sum_up_as_the_model_says(
    per_thread: list[list[tuple[str, dict[str, Any]]]], early: bool
) -> None:
    """Sums are exact whether records come before or after the node's end, and one event has the execution."""
    with memory_meter() as recorded:
        run = recorded.meter.run()
        node = run.node("n")

        def work(records: list[tuple[str, dict[str, Any]]]) -> None:
            for kind, words in records:
                getattr(node, kind)(**words)

        threads = [threading.Thread(target=work, args=(records,)) for records in per_thread]
        with node:
            for thread in threads:
                thread.start()
            if early:  # else the node may end while they record
                for thread in threads:
                    thread.join()
        for thread in threads:
            thread.join()
        events = recorded.events
    assert _emitted(events) == _modelled([record for records in per_thread for record in records])
    assert sorted(event.executions for event in events)[-1:] == [1]
    assert sum(event.executions for event in events) == 1
    assert len({event.event_id for event in events}) == len(events)


@given(st.lists(st.integers(0, 2**70), min_size=1, max_size=4))
def test_sums_stop_at_the_largest_number(counts: list[int]) -> None:
    """A number beyond 64 bits never makes an event that cannot be encoded."""
    with memory_meter() as recorded:
        with recorded.meter.run() as run, run.node("n") as node:
            for count in counts:
                node.http(requests=0, bytes_in=count)
                node.ai(model="m", output_tokens=count, units={"citation_tokens": count})
        event = recorded.only()
    largest = min(sum(counts), 2**63 - 1)
    assert event.http is not None
    assert event.http.bytes_in == largest
    assert event.ai is not None
    assert event.ai.output_tokens == event.ai.total_tokens == event.ai.units["citation_tokens"] == largest
