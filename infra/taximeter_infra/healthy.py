"""`python -m taximeter_infra.healthy`: whether the container's process lives, for HEALTHCHECK. Exit code 0 or 1.

It starts in a tenth of a second and imports nothing heavy, as it runs every few seconds. Of the API it asks `/healthz`,
and of any role that has `--metrics`, where that says whether the loop turns; of others it looks whether process 1 runs.
What a role waits for (a broker that is away) does not make it sick:
to start it again would help nobody. How far it is behind is told by `taximeter status` and by metrics.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 4
_ALIVE = frozenset("RSD")
_PORT = 8080


def port_of(argv: Sequence[str], named: str = "") -> int | None:
    """The port at which a command line serves `/healthz`; None for a role that does not. `named`: TAXIMETER_METRICS."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    if "api" in words:
        return int(words[words.index("--port") + 1]) if "--port" in words else _PORT
    place = words[words.index("--metrics") + 1] if "--metrics" in words else named
    port = place.rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def is_alive(status: str) -> bool:
    """By the text of /proc/PID/stat: running, sleeping or waiting for a disk; not stopped, not a zombie."""
    return status.rpartition(")")[2].split()[0] in _ALIVE


def main(process: Path = Path("/proc/1")) -> int:
    """0 where the process lives."""
    try:
        port = port_of((process / "cmdline").read_text().split("\0"), os.environ.get("TAXIMETER_METRICS", ""))
        if port is None:
            return 0 if is_alive((process / "stat").read_text()) else 1
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_SECONDS) as answer:
            return 0 if answer.status == HTTPStatus.OK else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
