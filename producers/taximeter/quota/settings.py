"""The settings of quota clients and gates, read once at the edge from `TAXIMETER_QUOTA_*`."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.limits import OnOutage
from taximeter_schemas.quota.meters import Amounts


class QuotaSettings(BaseSettings):
    """How a client and a gate behave. Every field has an environment name, as in `TAXIMETER_QUOTA_LEASE_SECONDS`."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_QUOTA_", frozen=True, extra="ignore", allow_inf_nan=False)

    answer_seconds: float = Field(5.0, gt=0, le=3_600, description="how long an answer of the quota service is awaited")
    lease_seconds: int = Field(30, ge=2, le=3_600, description="the life of a lease")
    first_lease_seconds: float = Field(
        1.0, ge=0, le=60, description="how long a check without a lease waits before the policy for outages applies"
    )
    on_outage: OnOutage = Field(OnOutage.CLOSED, description="open or closed, until the service has said which")
    lease_checks: int = Field(16, ge=1, le=100_000, description="a lease is for at least so many checks like the last")
    lease_most: Amounts = Field(default_factory=dict, description="the most that one lease holds, by meter, as JSON")
    denied_seconds: float = Field(1.0, gt=0, le=60, description="how long a denial is repeated without asking again")
    retry_seconds: float = Field(
        1.0, gt=0, le=60, description="how long to wait before a silent service is asked again"
    )
    idle_seconds: float = Field(60.0, ge=1, description="a lease that was not drawn from for so long is given back")
    longest_work_seconds: float = Field(
        3_600.0, gt=0, description="how long a lease is kept for a ticket that nobody settles"
    )
    close_seconds: float = Field(3.0, ge=0, le=600, description="how long closing waits until leases are given back")

    @classmethod
    def from_environment(cls) -> Self:
        """Raises Misconfigured."""
        try:
            return cls()
        except (ValidationError, SettingsError) as error:
            said = "not valid JSON"
            if isinstance(error, ValidationError):
                said = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors(include_input=False))
            raise Misconfigured(
                f"the environment does not describe a quota gate ({said})",
                mend="look at the TAXIMETER_QUOTA_* variables",
            ) from None

    @property
    def most(self) -> dict[str, Decimal]:
        """The bound of a lease by meter."""
        return dict(self.lease_most)
