"""The ClickHouse server out of the wheel `chdb-core`, as a process of its own.

Run as `python -m taximeter_infra.stack.clickhouse_launcher DIRECTORY`, where the parent has written `config.xml`,
`users.xml` and `launcher.json` (see `clickhouse_files`). What holds:

* The server lives as long as one sleeping query does. SIGTERM, SIGINT or the death of the parent end that query through
  the control user, so the engine shuts down in order and flushes its logs.
* It uses private API of the wheel (`_chdb.query`), which is why the wheel is pinned exactly.
* A port or a directory that is in use ends it with exit code 72 and leaves the other server alone.
* Killed at any time, it loses no acknowledged row, and the next start needs no repair.
"""

from __future__ import annotations

import http.client
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

EXIT_COULD_NOT_SERVE = 72
BEAT_SECONDS = 0.25
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
KEEP_ALIVE = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
    "SELECT sleepEachRow(3) FROM numbers(1000000000)"
    " SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, log_queries = 0 FORMAT Null"
)
# The engine runs the sleeping query as a user without a name; nobody who comes over the network has none.
END_KEEP_ALIVE = "KILL QUERY WHERE user = '' ASYNC FORMAT Null"


def load_engine() -> ModuleType:
    """The engine's extension module, loaded by itself: `import chdb` would first start and stop another engine."""
    package = importlib.util.find_spec("chdb")
    if package is None or not package.submodule_search_locations:
        raise ImportError("chdb-core is not installed")
    library = Path(package.submodule_search_locations[0]) / "_chdb.abi3.so"
    loader = importlib.machinery.ExtensionFileLoader("_chdb", str(library))
    spec = importlib.util.spec_from_loader("_chdb", loader)
    if spec is None:
        raise ImportError(f"cannot load {library}")
    engine = importlib.util.module_from_spec(spec)
    loader.exec_module(engine)
    return engine


def end_keep_alive(boot: dict[str, Any]) -> bool:
    """Ask the server, as its control user, to end the sleeping query. False when it does not answer (yet)."""
    connection = http.client.HTTPConnection("127.0.0.1", boot["http_port"], timeout=2)
    headers = {"X-ClickHouse-User": boot["control_user"], "X-ClickHouse-Key": boot["control_password"]}
    try:
        connection.request("POST", "/", END_KEEP_ALIVE, headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(argv: list[str]) -> int:
    """Serve until a stop signal or the parent's death; 0 after an orderly stop, 72 when serving failed."""
    parent = os.getppid()
    directory = Path(argv[1]).resolve()
    boot = json.loads((directory / "launcher.json").read_text(encoding="utf-8"))
    os.chdir(directory)  # the engine reads ./config.xml
    # Blocked here, before any thread exists, the signals wait for `sigtimedwait` whatever the engine installs.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    engine = load_engine()
    complaint: list[str] = []

    def serve() -> None:
        try:
            result = engine.query(KEEP_ALIVE, "TSV", path=str(directory / "data"))
            complaint.append(result.error_message() if result.has_error() else "")
        except Exception as error:  # noqa: BLE001 - reported below; a thread has nobody else to tell
            complaint.append(str(error))

    server = threading.Thread(target=serve, name="clickhouse", daemon=True)
    server.start()
    stopping = False
    while server.is_alive():
        stopping = stopping or os.getppid() != parent
        if stopping:
            end_keep_alive(boot)
            server.join(BEAT_SECONDS)
        else:
            stopping = signal.sigtimedwait(STOP_SIGNALS, BEAT_SECONDS) is not None
    if not stopping:
        sys.stderr.write(f"clickhouse ended by itself: {''.join(complaint)}\n")
    sys.stderr.flush()
    # The engine has shut down inside the query; Python's own teardown could only unload what is still mapped.
    os._exit(0 if stopping else EXIT_COULD_NOT_SERVE)


if __name__ == "__main__":
    main(sys.argv)
