"""`python -m taximeter_infra.healthy`: whether the container's process lives, for HEALTHCHECK. Exit code 0 or 1.

It starts in a tenth of a second and imports nothing heavy, as it runs every few seconds. Of the API it asks `/healthz`,
and of any role that has `--metrics`, where that says whether the loop turns; of others it looks whether process 1 runs.
It asks straight, whatever proxy the environment names, and where the role listens: at the loopback, unless one address
was named.
What a role waits for (a broker that is away) does not make it sick:
to start it again would help nobody. How far it is behind is told by `taximeter status` and by metrics.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 4
_ALIVE = frozenset("RSD")
_PORT = 8080
_LOOPBACK = "127.0.0.1"
_WILDCARDS = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - where others listen; nothing is bound here


def place_of(argv: Sequence[str], named: str = "") -> tuple[str, int] | None:
    """Host and port at which to ask a command line's process for `/healthz`; None for a role that does not answer.

    `named`: TAXIMETER_METRICS."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    if "api" in words:
        return _asked(_after("--host", words)), int(_after("--port", words) or _PORT)
    host, _, port = (_after("--metrics", words) or named).rpartition(":")
    return (_asked(host), int(port)) if port.isdecimal() else None


def _after(option: str, words: Sequence[str]) -> str:
    return words[words.index(option) + 1] if option in words else ""


def _asked(host: str) -> str:
    """Where to ask somebody who listens there."""
    bare = host.strip("[]")
    return _LOOPBACK if bare in _WILDCARDS else bare


def is_alive(status: str) -> bool:
    """By the text of /proc/PID/stat: running, sleeping or waiting for a disk; not stopped, not a zombie."""
    return status.rpartition(")")[2].split()[0] in _ALIVE


def main(process: Path = Path("/proc/1")) -> int:
    """0 where the process lives."""
    try:
        place = place_of((process / "cmdline").read_text().split("\0"), os.environ.get("TAXIMETER_METRICS", ""))
        if place is None:
            return 0 if is_alive((process / "stat").read_text()) else 1
        return 0 if _status(*place) == HTTPStatus.OK else 1
    except (OSError, HTTPException):
        return 1


def _status(host: str, port: int) -> int:
    connection = HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
