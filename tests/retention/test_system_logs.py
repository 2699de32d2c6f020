"""The logs that a production ClickHouse keeps of itself: by our file each is trimmed or off."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "infra" / "clickhouse" / "config.d" / "taximeter.xml"
# Those that the server's own config.xml turns on and that grow with work; crash_log and backup_log do not.
GROWING = {
    *("query_log", "query_thread_log", "query_views_log", "query_metric_log", "part_log", "trace_log", "text_log"),
    *("metric_log", "asynchronous_metric_log", "latency_log", "error_log", "processors_profile_log"),
    *("opentelemetry_span_log", "asynchronous_insert_log", "background_schedule_pool_log"),
}


def test_every_log_is_trimmed_or_off() -> None:
    """A TTL of at most a week, or removed."""
    logs = {entry.tag: entry for entry in ET.parse(CONFIG).getroot() if entry.tag.endswith("_log")}
    assert set(logs) == GROWING
    for name, entry in logs.items():
        days = re.fullmatch(r"event_date \+ INTERVAL (\d) DAY DELETE", entry.findtext("ttl") or "")
        assert entry.get("remove") == "1" or (days is not None and int(days[1]) <= 7), name
