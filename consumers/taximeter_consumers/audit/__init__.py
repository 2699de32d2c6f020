"""The audit: do the ledger's ranges tile the log, and is every record of them stored, a duplicate or a dead letter?

Where to look: `tiling` is what ranges say (pure), `balance` what the counts say (pure), `offset_set` the offsets that
both count; `ledger` and `rows` ask ClickHouse, `log` and `letters` Kafka; `reread` looks at records again where counts
alone cannot tell; `ingest` does all of it in an order that running sinks cannot disturb. An audit writes nothing.
"""

from taximeter_consumers.audit.balance import Finding, PartitionReport, Severity
from taximeter_consumers.audit.ingest import IngestAudit, IngestReport, Scope, open_audit

__all__ = ["Finding", "IngestAudit", "IngestReport", "PartitionReport", "Scope", "Severity", "open_audit"]
