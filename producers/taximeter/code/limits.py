"""The limits of one code run: a frozen value, refused once with the reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

from taximeter_schemas.errors import Misconfigured

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """What the code may use. Seconds and bytes. Raises Misconfigured for a limit that is none."""

    wall_seconds: float = 30.0
    """From the start to the end, waiting included."""
    cpu_seconds: float = 30.0
    """CPU time of all its processes together."""
    memory_bytes: int = 512 * _MIB
    """Resident memory of all its processes together, and what each process may ask for to write to."""
    output_bytes: int = _MIB
    """Standard output and error together."""
    processes: int = 64
    """Processes that are alive at the same time."""
    file_bytes: int = 64 * _MIB
    """The size of one file that it writes."""
    network: bool = False
    """Whether the sandbox has the host's network. Without a sandbox the code always has it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "network":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
                raise Misconfigured(
                    f"the limit {field.name} of a code run is not a positive number",
                    mend=f"give CodeLimits({field.name}=...) as a finite number above 0",
                )
