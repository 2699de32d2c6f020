"""What all answers share."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Usd = Decimal
"""US dollars, exact."""


class Answered(BaseModel):
    """An answer, or a part of one. What is not known here is ignored, so an older client understands a newer API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")
