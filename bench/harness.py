"""What every benchmark shares: samples, ratios of interleaved pairs, the machine and the versions, one report.

Two machines, and one machine at two hours, differ by more than what a benchmark looks for. So what is compared runs in
turns within one run (A B A B ...), each pair gives one ratio, and the median of the ratios is the result. Everything
here but `machine`, `versions` and `Report.write` is pure.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"
_PIPE_WIDTH = 130


@dataclass(frozen=True)
class Sample:
    """What was measured, in the order in which it was, and its unit. Never empty."""

    unit: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for a sample without values."""
        if not self.values:
            raise ValueError("a sample needs a value")

    def as_json(self) -> dict[str, Any]:
        """The values and their summary."""
        summary = {
            "min": min(self.values),
            "median": median(self.values),
            "p50": percentile(self.values, 50),
            "p90": percentile(self.values, 90),
            "p99": percentile(self.values, 99),
            "max": max(self.values),
        }
        rounded = {name: significant(value) for name, value in summary.items()}
        return {
            "unit": self.unit,
            "count": len(self.values),
            **rounded,
            "values": [significant(value) for value in self.values],
        }


@dataclass(frozen=True)
class Machine:
    """Where it ran. `load_average` is that of the minute before the benchmark: what else was going on."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    load_average: float


@dataclass(frozen=True)
class Report:
    """One run of a benchmark. `ratios` has the ratio of every pair; their median is what is quoted.

    `reasons` says of each ratio that could not be measured here why.
    """

    name: str
    machine: Machine
    versions: Mapping[str, str]
    command: str
    samples: Mapping[str, Sample]
    ratios: Mapping[str, tuple[float, ...]]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """`ratios` is name to median, or to null where `reasons` says why; the pairs are among the samples."""
        pairs = {name: Sample("ratio", values) for name, values in self.ratios.items()}
        medians = {name: significant(median(values)) for name, values in self.ratios.items()}
        return {
            "name": self.name,
            "machine": asdict(self.machine),
            "versions": dict(self.versions),
            "command": self.command,
            "samples": {name: sample.as_json() for name, sample in {**self.samples, **pairs}.items()},
            "ratios": {**medians, **dict.fromkeys(self.reasons)},
            "reasons": dict(self.reasons),
        }

    def write(self, folder: Path = OUT) -> Path:
        """Writes `NAME.json` as a whole or not at all, and returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path, fresh = folder / f"{self.name}.json", folder / f".{self.name}.json.new"
        fresh.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
        return path

    def show(self, console: Console | None = None) -> None:
        """The tables for people: ratios first."""
        out = console or Console()
        if not out.is_terminal:
            out = Console(file=out.file, width=_PIPE_WIDTH)
        told = self.as_json()
        host = self.machine
        out.print(f"\n[bold]{self.name}[/bold]  {self.command}", highlight=False)
        out.print(
            f"{host.cpu}, {host.cores} cores, {host.memory_gib:g} GiB, Linux {host.kernel}, Python {host.python},"
            f" load average {host.load_average:g}",
            highlight=False,
        )
        out.print(", ".join(f"{name} {number}" for name, number in self.versions.items()), highlight=False)
        rows = told["samples"]
        if self.ratios:
            out.print(_table("ratio, pairs interleaved", {name: rows[name] for name in self.ratios}, "pairs"))
        for name, reason in self.reasons.items():
            out.print(f"no {name.replace('_', ' ')}: {reason}", highlight=False)
        out.print(_table("sample", {name: rows[name] for name in self.samples}, "count"))


def _table(title: str, rows: Mapping[str, Mapping[str, Any]], count: str) -> Table:
    table = Table(title_justify="left")
    table.add_column(title, overflow="fold")
    table.add_column("unit")
    for heading in (count, "min", "median", "p90", "p99", "max"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        numbers = (f"{row[key]:,.4g}" if row[key] < 1000 else f"{row[key]:,.0f}" for key in _NUMBERS)
        table.add_row(name.replace("_", " "), row["unit"], str(row["count"]), *numbers)
    return table


_NUMBERS = ("min", "median", "p90", "p99", "max")


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank: the least value that at least `percent` per cent of the values do not exceed.

    It is always a value that was measured. Raises ValueError for no values and for a percentage outside 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values and a percentage from 0 to 100")
    return sorted(values)[max(ceil(percent / 100 * len(values)), 1) - 1]


def pair_ratios(of: Sequence[float], to: Sequence[float]) -> tuple[float, ...]:
    """The ratio of each pair, first with first. Raises ValueError where the two do not pair up."""
    if not of or len(of) != len(to):
        raise ValueError(f"{len(of)} and {len(to)} values are no pairs")
    return tuple(left / right for left, right in zip(of, to, strict=True))


def significant(value: float, digits: int = 6) -> float:
    """The value with that many significant digits: more would be noise."""
    return float(f"{value:.{digits}g}")


def machine() -> Machine:
    """This machine, as Linux describes it; cores are those that this process may use."""
    return Machine(
        cpu=_first("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        load_average=round(os.getloadavg()[0], 2),
    )


def versions(servers: Mapping[str, str]) -> dict[str, str]:
    """`servers` (product to version) between ours and the libraries'."""
    libraries = ("confluent-kafka", "fastavro", "clickhouse-connect")
    return {"taximeter": version("taximeter"), **servers, **{name: version(name) for name in libraries}}


def _first(path: str, field: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
