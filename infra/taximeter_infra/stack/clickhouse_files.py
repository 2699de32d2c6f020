"""The files that the embedded ClickHouse reads at its start: `config.xml`, `users.xml`, `launcher.json`.

Pure functions from values to text, except for `secret_of`, which keeps the one password that lasts (per data directory,
in a file that only its owner can read). Users come from the file because the embedded server cannot create any by SQL.

* `taximeter`: all rights. * `analyst`: no password, from this machine only, reads the metering databases.
* `control`: a random password per start; may look at and end queries, nothing else.
* `default`: the engine boots as this user, so it must exist without a password. It may open the listeners and has a
  small quota. The boot takes three queries; the others are for strangers that ask as `default` in that very moment, who
  would else end the boot. Its grants let it do nothing more than open listeners that are open, and SELECT constants.
"""

from __future__ import annotations

import os
import secrets
import uuid
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

MIB = 1024 * 1024

CONFIG = """<clickhouse>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http_port}</http_port>
    <tcp_port>{tcp_port}</tcp_port>
    <log-level>warning</log-level>
    <users_config>users.xml</users_config>
    <mark_cache_size>{mark_cache}</mark_cache_size>
    <index_mark_cache_size>{small_cache}</index_mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
    <mmap_cache_size>64</mmap_cache_size>
    <compiled_expression_cache_size>{small_cache}</compiled_expression_cache_size>
    <query_cache><max_size_in_bytes>{small_cache}</max_size_in_bytes></query_cache>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <background_pool_size>4</background_pool_size>
    <background_fetches_pool_size>1</background_fetches_pool_size>
    <background_move_pool_size>1</background_move_pool_size>
    <background_common_pool_size>2</background_common_pool_size>
    <background_schedule_pool_size>8</background_schedule_pool_size>
    <background_buffer_flush_schedule_pool_size>2</background_buffer_flush_schedule_pool_size>
    <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
    <background_distributed_schedule_pool_size>2</background_distributed_schedule_pool_size>
    <max_connections>256</max_connections>
    <query_log>
        <database>system</database>
        <table>query_log</table>
        <ttl>event_date + INTERVAL 1 DAY DELETE</ttl>
        <flush_interval_milliseconds>2000</flush_interval_milliseconds>
    </query_log>
    <part_log>
        <database>system</database>
        <table>part_log</table>
        <ttl>event_date + INTERVAL 1 DAY DELETE</ttl>
        <flush_interval_milliseconds>2000</flush_interval_milliseconds>
    </part_log>
</clickhouse>
"""

USERS = """<clickhouse>
    <profiles>
        <default>
            <implicit_select>0</implicit_select>
            <allow_introspection_functions>0</allow_introspection_functions>
        </default>
        <analyst>
            <readonly>2</readonly>
            <implicit_select>0</implicit_select>
            <allow_introspection_functions>0</allow_introspection_functions>
            <max_memory_usage>{analyst_memory}</max_memory_usage>
            <max_execution_time>60</max_execution_time>
            <constraints>
                <readonly><const/></readonly>
                <allow_ddl><const/></allow_ddl>
                <allow_introspection_functions><const/></allow_introspection_functions>
                <max_memory_usage><min>1</min><max>{analyst_memory}</max></max_memory_usage>
                <max_execution_time><min>1</min><max>600</max></max_execution_time>
            </constraints>
        </analyst>
    </profiles>
    <quotas>
        <default></default>
        <boot_only><interval><duration>1000000000</duration><queries>20</queries></interval></boot_only>
    </quotas>
    <users>
        <default>
            <no_password/>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>boot_only</quota>
            <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
        </default>
        <control>
            <password_sha256_hex>{control_digest}</password_sha256_hex>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SELECT ON system.processes</query>
                <query>GRANT KILL QUERY ON *.*</query>
            </grants>
        </control>
        <taximeter>
            <password_sha256_hex>{owner_digest}</password_sha256_hex>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants><query>GRANT ALL ON *.*</query></grants>
        </taximeter>
        <analyst>
            <no_password/>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>analyst</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SELECT ON metering.*</query>
                <query>GRANT SELECT ON metering_*.*</query>
            </grants>
        </analyst>
    </users>
</clickhouse>
"""


@dataclass(frozen=True)
class Boot:
    """What one start needs. The passwords never reach a command line or a log."""

    http_port: int
    tcp_port: int
    owner_password: str
    control_password: str
    control_user: str = "control"
    analyst_memory: int = 2048 * MIB

    def config_xml(self) -> str:
        """Ports, caches and pools for a laptop, and the two logs that are kept for a day."""
        return CONFIG.format(
            http_port=self.http_port, tcp_port=self.tcp_port, mark_cache=256 * MIB, small_cache=32 * MIB
        )

    def users_xml(self) -> str:
        """Every user, by digest of the password."""
        return USERS.format(
            control_digest=_digest(self.control_password),
            owner_digest=_digest(self.owner_password),
            analyst_memory=self.analyst_memory,
        )

    def launcher(self) -> dict[str, str | int]:
        """What the launcher needs to end the server in order."""
        return {
            "http_port": self.http_port,
            "control_user": self.control_user,
            "control_password": self.control_password,
        }


def system_database_sql(identity: uuid.UUID) -> str:
    """The `system` database as an Atomic one, kept on disk: without it query_log would be lost at every restart."""
    return f"ATTACH DATABASE _ UUID '{identity}'\nENGINE = Atomic\n"


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def secret_of(path: Path) -> str:
    """The password kept in this file, made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()


def _digest(password: str) -> str:
    return sha256(password.encode()).hexdigest()
