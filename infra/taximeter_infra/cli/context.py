"""Where a command finds its servers: the environment first, then the local stack that runs here, then the defaults."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, TypeVar

from taximeter_infra.cli.reach import clickhouse_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr
    from pydantic_settings import BaseSettings

    from taximeter_infra.stack.plan import StackAddresses
    from taximeter_schemas.registry import Registry
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, RegistrySettings, TopicSettings

S = TypeVar("S", bound="BaseSettings")


def kafka_settings() -> KafkaSettings:
    """How to reach Kafka."""
    from taximeter_schemas.settings import KafkaSettings

    addresses = None if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") else _local_stack()
    return settings_of(KafkaSettings, {} if addresses is None else {"bootstrap_servers": addresses.bootstrap_servers})


def clickhouse_settings() -> ClickHouseSettings:
    """How to reach ClickHouse, as a user who may write. Raises Misconfigured for what is no URL."""
    from taximeter_schemas.settings import ClickHouseSettings

    addresses = None if os.environ.get("CLICKHOUSE_URL") else _local_stack()
    settings = settings_of(ClickHouseSettings, {} if addresses is None else {"url": addresses.clickhouse_url})
    clickhouse_place(settings.url.get_secret_value())
    return settings


def analyst_settings() -> ClickHouseSettings:
    """How to reach ClickHouse as a reader: the stack's analyst where the local stack is used."""
    from taximeter_schemas.settings import ClickHouseSettings

    addresses = None if os.environ.get("CLICKHOUSE_URL") else _local_stack()
    # A stack on somebody's own ClickHouse has no analyst.
    if addresses is None or addresses.clickhouse_native is None:
        return clickhouse_settings()
    return settings_of(ClickHouseSettings, {"url": _secret(addresses.analyst_url)})


def topic_settings() -> TopicSettings:
    """The names of the topics."""
    from taximeter_schemas.settings import TopicSettings

    return settings_of(TopicSettings, {})


def registry() -> Registry:
    """Where schema ids come from, opened."""
    from taximeter_schemas.registry import open_registry

    return open_registry(registry_settings())


def registry_settings() -> RegistrySettings:
    """Where schema ids come from."""
    from taximeter_schemas.settings import RegistrySettings

    return settings_of(RegistrySettings, {})


def _local_stack() -> StackAddresses | None:
    from taximeter_infra.stack.plan import default_data_dir
    from taximeter_infra.stack.running import find_running

    return find_running(default_data_dir())


def _secret(url: str) -> SecretStr:
    from pydantic import SecretStr

    return SecretStr(url)


def settings_of(kind: type[S], given: Mapping[str, Any]) -> S:
    """A group of settings from `given` and the environment. Raises Misconfigured with the variable's name."""
    from pydantic import ValidationError
    from pydantic_settings.exceptions import SettingsError

    from taximeter_schemas.errors import Misconfigured

    prefix = kind.model_config.get("env_prefix", "")
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = f"{prefix}{first['loc'][0]}".upper() if first["loc"] else prefix
        raise Misconfigured(f"{name} is not usable: {first['msg']}", mend=f"correct or unset {name}") from None
    except SettingsError as wrong:
        named = re.search(r'field "(\w+)"', str(wrong))
        name = f"{prefix}{named[1] if named else 'OPTIONS'}".upper()
        raise Misconfigured(f"a variable of {prefix}* is not valid JSON", mend=f"look at {name}") from None
