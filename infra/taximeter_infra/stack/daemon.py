"""A stack in the background: `start_detached` for the one who wants it, `main` for the process that runs it.

The plan goes to the daemon through its standard input (it may hold a password); lines of JSON come back through a pipe
until the stack is ready. If the starter dies before that, the daemon stops everything. Afterwards it lives on its own,
until SIGTERM or until a part is down for good; its words go to `stack.log` in the data directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from taximeter_infra.stack.child import tail
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError

LOG_FILE = "stack.log"
BEAT_SECONDS = 1.0
Hook = Callable[[StackAddresses], None]


def start_detached(
    plan: StackPlan, progress: Callable[[str], None] | None = None, on_ready: Hook | None = None
) -> StackAddresses:
    """Start a stack that outlives this process, and wait until it is ready.

    `on_ready` runs in this process, once the stack answers; if it fails, the stack is stopped again. Raises what the
    start raised (Misconfigured or Retryable).
    """
    try:
        plan.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = (plan.data_dir / LOG_FILE).open("ab")
    except OSError as error:
        raise Misconfigured(f"{plan.data_dir} cannot be used: {error.strerror}", mend="choose --data-dir") from error
    words, theirs = os.pipe()
    with log, os.fdopen(words, encoding="utf-8") as reader:
        daemon = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "taximeter_infra.stack.daemon", str(theirs)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        try:
            _hand_over(daemon, plan)
            addresses = _listen(reader, progress or (lambda _: None), plan.data_dir)
            if on_ready is not None:
                on_ready(addresses)
        except BaseException:
            daemon.terminate()
            daemon.wait()
            raise
    threading.Thread(target=daemon.wait, name="daemon-reaper", daemon=True).start()  # else it would end as a zombie
    return addresses


def _hand_over(daemon: subprocess.Popen[bytes], plan: StackPlan) -> None:
    if daemon.stdin is not None:
        daemon.stdin.write(json.dumps(plan.as_json()).encode())
        daemon.stdin.close()


def _listen(reader: IO[str], progress: Callable[[str], None], data_dir: Path) -> StackAddresses:
    for line in reader:
        word = json.loads(line)
        if "ready" in word:
            return StackAddresses.of_json(word["ready"])
        if "problem" in word:
            raise Misconfigured(word["problem"], mend=word["mend"])
        if "failure" in word:
            raise Retryable(word["failure"])
        progress(word["progress"])
    raise Retryable(f"the stack ended before it was ready; its log ends with:\n{tail(data_dir / LOG_FILE)}")


def main(argv: list[str]) -> int:
    """Run the stack of the plan on standard input; 0 after a stop that was asked for, 1 otherwise."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    plan = StackPlan.of_json(json.loads(sys.stdin.read()))
    stack = LocalStack(plan)
    try:
        with os.fdopen(int(argv[1]), "w", encoding="utf-8", buffering=1) as writer:
            _bring_up(stack, writer)
            stack.announce(_note)
        beat = threading.Event()
        while stack.alive:
            beat.wait(BEAT_SECONDS)
    except KeyboardInterrupt:
        _note("stopped because it was asked to")
        return 0
    except (TaximeterError, BrokenPipeError) as error:
        _note(f"stopped while starting: {error}")
        return 1
    finally:
        _ignore_signals()
        stack.stop()
    _note("stopped because a part is down for good")
    return 1


def _bring_up(stack: LocalStack, writer: IO[str]) -> None:
    def say(**word: object) -> None:
        writer.write(json.dumps(word) + "\n")

    try:
        addresses = stack.start(lambda line: say(progress=line))
        say(ready=addresses.as_json())
    except Misconfigured as error:
        say(problem=error.problem, mend=error.mend)
        raise
    except TaximeterError as error:
        say(failure=str(error))
        raise


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
