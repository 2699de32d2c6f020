"""The host's side of one run: it starts the launcher, feeds and reads the code, and waits for the report.

One thread, one `select` loop. Whatever ends it (an exception, Ctrl-C, a cancellation), the launcher is told to kill
all, and is killed itself if it does not answer; it is always waited for, so that no zombie stays.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from typing import IO, Any, NamedTuple

_LAUNCHER = Path(__file__).with_name("launcher.py")
_CHUNK = 65_536
# The launcher keeps the time by itself; this much later the host no longer believes in it.
_GRACE_SECONDS = 10.0


class Told(NamedTuple):
    """What came back. `report` is empty if the launcher was killed before it could speak."""

    report: Mapping[str, Any]
    stdout: bytes
    stderr: bytes
    flooded: bool


class Conversation:
    """One run's pipes. `stop_fd` becomes readable when somebody wants the run to end."""

    def __init__(self, task: Mapping[str, Any], stdin: bytes | None, output_bytes: int, stop_fd: int | None) -> None:
        self._task = {**task, "host": os.getpid()}
        self._stdin = memoryview(stdin or b"")
        self._room = output_bytes
        self._stop_fd = stop_fd
        self._patience = task["bounds"]["wall_seconds"] + _GRACE_SECONDS
        self._said = bytearray()
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._flooded = False

    def hold(self) -> Told:
        """Run to the end. Raises OSError if the launcher cannot be started."""
        with ExitStack() as stack:
            task_in, task_out = _pipe(stack)
            control_in, control = _pipe(stack)
            report, report_out = _pipe(stack)
            theirs = (task_in, control_in, report_out)
            process = subprocess.Popen(  # noqa: S603 - our own script; the code's command goes by a pipe
                [sys.executable, "-I", "-S", str(_LAUNCHER), *(str(pipe.fileno()) for pipe in theirs)],
                stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=tuple(pipe.fileno() for pipe in theirs),
                start_new_session=True,
                cwd="/",
                env={},
            )
            try:
                for pipe in theirs:
                    pipe.close()
                with suppress(BrokenPipeError), open(task_out.fileno(), "wb", closefd=False) as task:
                    task.write(json.dumps(self._task).encode())
                task_out.close()
                self._talk(process, control, report)
            finally:
                _stop(control)
                _wait(process)
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        stream.close()
        return Told(self._report(), bytes(self._output["stdout"]), bytes(self._output["stderr"]), self._flooded)

    def _talk(self, process: subprocess.Popen[bytes], control: FileIO, report: FileIO) -> None:
        outputs = {"stdout": process.stdout, "stderr": process.stderr}
        deadline = time.monotonic() + self._patience
        with selectors.DefaultSelector() as selector:
            selector.register(report, selectors.EVENT_READ, "report")
            for name, stream in outputs.items():
                _register(selector, stream, selectors.EVENT_READ, name)
            _register(selector, process.stdin, selectors.EVENT_WRITE, "stdin")
            if self._stop_fd is not None:
                selector.register(self._stop_fd, selectors.EVENT_READ, "stop")
            while True:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready and control.closed:
                    return
                names = {key.data for key, _ in ready}
                if "report" in names and not self._hear(report):
                    break
                for key, _ in ready:
                    if key.data in ("stdin", *outputs) and not self._serve(key):
                        selector.unregister(key.fileobj)
                        if key.data == "stdin" and process.stdin is not None:
                            process.stdin.close()  # the code sees the end of its input
                if (not ready or "stop" in names or self._flooded) and not control.closed:
                    _stop(control)
                    deadline = time.monotonic() + _GRACE_SECONDS
                    if "stop" in names and self._stop_fd is not None:
                        selector.unregister(self._stop_fd)
        # The launcher ended. What the code wrote before is in the pipes; a process that got away may hold them open.
        for name, stream in outputs.items():
            while stream is not None and not self._flooded and self._read(stream.fileno(), name):
                continue

    def _serve(self, key: selectors.SelectorKey) -> bool:
        """One ready pipe. False if there will be nothing more."""
        if key.data != "stdin":
            return self._read(key.fd, key.data)
        try:
            self._stdin = self._stdin[os.write(key.fd, self._stdin[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except OSError:
            self._stdin = memoryview(b"")  # the code does not read it
        return bool(self._stdin)

    def _read(self, fd: int, name: str) -> bool:
        """Take what is there, as far as there is room. False if there was nothing."""
        try:
            data = os.read(fd, _CHUNK)
        except OSError:
            return False
        kept = data[: self._room]
        self._room -= len(kept)
        self._flooded = self._flooded or len(kept) < len(data)
        self._output[name] += kept
        return bool(data)

    def _hear(self, report: FileIO) -> bool:
        data = report.read(_CHUNK) or b""
        self._said += data
        return bool(data)

    def _report(self) -> Mapping[str, Any]:
        try:
            said = json.loads(bytes(self._said))
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    reading, writing = os.pipe()
    return stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))


def _register(selector: selectors.BaseSelector, stream: IO[bytes] | None, events: int, name: str) -> None:
    if stream is not None:
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, events, name)


def _stop(control: FileIO) -> None:
    """Tell the launcher to kill whatever is left. The pipe's end without a word would mean that the host is gone."""
    if not control.closed:
        with suppress(OSError):
            control.write(b".")
        control.close()


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the launcher, which ends soon after its control pipe; kill it if it does not."""
    try:
        process.wait(_GRACE_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
