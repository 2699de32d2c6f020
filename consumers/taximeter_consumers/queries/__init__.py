"""What people ask the rollups: one SQL file and one typed function per report. Only views are read."""

from taximeter_consumers.queries.reports import (
    Filter,
    Row,
    dearest_nodes,
    models,
    node_types,
    nodes_of_run,
    run,
    runs,
    totals,
    users,
    workflows,
)
from taximeter_consumers.queries.summary import UsageSummary, share, usage_summary

__all__ = [
    "Filter",
    "Row",
    "UsageSummary",
    "dearest_nodes",
    "models",
    "node_types",
    "nodes_of_run",
    "run",
    "runs",
    "share",
    "totals",
    "usage_summary",
    "users",
    "workflows",
]
