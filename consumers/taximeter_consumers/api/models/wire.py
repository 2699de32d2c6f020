"""What all wire models share: camelCase names, and money as decimal strings to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from taximeter_schemas.money import plain

_DECIMAL: Final = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Usd = Annotated[
    Decimal,
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({**_DECIMAL, "description": "US dollars, exact", "examples": ["0.0125"]}, mode="serialization"),
]
"""US dollars, exact."""

Amount = Annotated[Decimal, PlainSerializer(plain, return_type=str), WithJsonSchema(_DECIMAL, mode="serialization")]
"""A quantity, exact."""

Instant = Annotated[datetime, AfterValidator(_zoned)]
"""UTC; what ClickHouse answers without a zone is that."""


class Wire(BaseModel):
    """An answer, or a part of one. `model_validate` takes from a row the columns that it has fields for."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Asked(BaseModel):
    """What comes in: a name that is not known is refused, since a misspelt filter would be none."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)
