"""The one way to ClickHouse: a client over HTTP, and its errors in our words."""

from taximeter_consumers.clickhouse.connection import ClickHouse, connect

__all__ = ["ClickHouse", "connect"]
