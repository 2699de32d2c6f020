"""Prints the environment file of infra/docker-compose.yml with fresh random passwords:

    python infra/docker/new_env.py > infra/.env

ClickHouse gets the SHA-256 of each password, the services the passwords themselves. Keep the file to yourself.
"""

from __future__ import annotations

import hashlib
import secrets
import sys

USERS = ("MIGRATOR", "SINK", "AGGREGATOR", "QUOTA", "BILLING", "API", "OPERATOR", "ANALYST")


def lines() -> list[str]:
    """The variables; passwords are hexadecimal, so they can stand in a URL as they are."""
    made = ["COMPOSE_PROJECT_NAME=taximeter"]
    made += [f"CLICKHOUSE_ADMIN_PASSWORD={secrets.token_hex(24)}", f"GRAFANA_ADMIN_PASSWORD={secrets.token_hex(24)}"]
    for user in USERS:
        password = secrets.token_hex(24)
        digest = hashlib.sha256(password.encode()).hexdigest()
        made += [f"TAXIMETER_{user}_PASSWORD={password}", f"TAXIMETER_{user}_SHA256={digest}"]
    return made


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in lines()))
