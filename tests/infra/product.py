"""What the product knows: commands with their options, and variables. Deployment files are held against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from taximeter.quota.settings import QuotaSettings as GateSettings
from taximeter.settings import MeterSettings
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.quota.service.settings import AlertSettings, QuotaSettings
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_infra.cli.app import app
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, RegistrySettings, TopicSettings

ROOT = Path(__file__).parents[2]
SETTINGS: list[type[BaseSettings]] = [
    *(KafkaSettings, ClickHouseSettings, RegistrySettings, TopicSettings, SinkSettings, QuotaSettings, AlertSettings),
    *(ApiSettings, MeterSettings, GateSettings),
]


def variables() -> set[str]:
    """Every environment variable of the product's settings."""
    return {name for kind in SETTINGS for name in _names(kind)}


def parse(argv: Sequence[str]) -> None:
    """Parses a command line as `taximeter` would, and runs nothing. Raises what the parser says, or KeyError."""
    rest = [str(word) for word in argv]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("taximeter", rest)


def _names(kind: type[BaseSettings]) -> Iterator[str]:
    prefix = str(kind.model_config.get("env_prefix", ""))
    for name, field in kind.model_fields.items():
        yield f"{prefix}{name}".upper()
        if isinstance(field.validation_alias, AliasChoices):
            yield from (str(choice) for choice in field.validation_alias.choices)
