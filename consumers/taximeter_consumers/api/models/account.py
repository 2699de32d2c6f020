"""The usage bar of an account, and the calls that move it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from taximeter_consumers.api.inputs import MOST_COUNT, Name
from taximeter_consumers.api.models.wire import Asked, Wire

_MOST_SIMULATED: Final = 10**12
Tokens = Annotated[Decimal, Field(ge=0, le=MOST_COUNT)]
"""Tokens as workers count them; a fraction is rounded up to a whole one."""


class AccountAsked(Asked):
    """Whose usage."""

    account_id: Name | None = Field(None, description="For an account's key its own; operators name it")


class AccountUsage(Wire):
    """Whole tokens of the billing month: what is used is rounded up, what is left down."""

    month: str = Field(description="In which the billing period begins", examples=["2026-11"])
    used: int = Field(examples=[1_250_000])
    limit: int | None = Field(description="Add-ons included; null: none", examples=[2_600_000])
    remaining: int | None = Field(description="Null without a limit, never below 0", examples=[1_350_000])
    percent: float = Field(description="Of the limit; more than 100 where more was used; 0 without a limit")
    add_on: int = Field(description="Of limit: bought beside the plan", examples=[100_000])
    plan: str | None = Field(description="Whose limit it is", examples=["starter"])


class ChargeAsked(Asked):
    """What a worker used."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "flowId": "triage",
                    "userId": "ada",
                    "inputTokens": 1000,
                    "outputTokens": 200,
                    "model": "gpt-4o",
                    "aiSystem": "openai",
                }
            ]
        }
    )

    flow_id: Name = Field(description="The workflow")
    user_id: Name
    input_tokens: Tokens
    output_tokens: Tokens
    model: Name
    ai_system: Name = Field(description="The provider")


class Charged(Wire):
    """False: nothing was charged, as limits are exceeded, or as it cannot be charged now."""

    success: bool


class SimulateAsked(Asked):
    """Tokens that nobody used."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": 5000}]})

    tokens: int = Field(ge=1, le=_MOST_SIMULATED)
    account_id: Name | None = Field(None, description="For an account's key its own; operators name it")
    user_id: Name | None = None
    provider: Name = "openai"
    model: Name = "gpt-4o-mini"


class Simulated(Wire):
    """What became of it."""

    ok: bool = Field(description="False: a limit has no room for so many")
    message: str
    tokens_added: int
    summary: AccountUsage
