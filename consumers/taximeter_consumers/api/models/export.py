"""What an export is asked for."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from taximeter_consumers.api.models.usage import UsageFilter


class Dataset(StrEnum):
    """What is exported."""

    USAGE = "usage"
    ROLLUPS = "rollups"
    INVOICES = "invoices"


class RollupName(StrEnum):
    """Which rollup."""

    RUN_COSTS = "run_costs"
    NODE_COSTS = "node_costs"
    MODEL_COSTS = "model_costs"
    USAGE_BY_SUBJECT = "usage_by_subject"
    CHARGES = "charges"


class ExportForm(StrEnum):
    """As what."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_OF_USAGE = ("user_id", "workflow_id", "provider", "model", "context", "external_id", "transaction_id", "run_id")


class ExportQuery(UsageFilter):
    """What is exported, from when to when, and as what. Filters other than the account and the time are for usage."""

    dataset: Dataset = Field(description="usage: priced events; rollups: see rollup; invoices: their lines")
    rollup: RollupName = Field(RollupName.USAGE_BY_SUBJECT, description="For rollups: which one")
    format: ExportForm = ExportForm.CSV

    @model_validator(mode="after")
    def _fits(self) -> ExportQuery:
        given = [name for name in _OF_USAGE if getattr(self, name) is not None]
        if given and self.dataset is not Dataset.USAGE:
            raise ValueError(f"{given[0]} filters usage only; leave it out")
        if "rollup" in self.model_fields_set and self.dataset is not Dataset.ROLLUPS:
            raise ValueError("rollup goes with dataset=rollups only; leave it out")
        return self
