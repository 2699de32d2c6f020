"""How a command ends: exit codes, and an error of ours as two plain lines instead of a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import ParamSpec, TypeVar

import typer

from taximeter_schemas.errors import Misconfigured, TaximeterError

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(IntEnum):
    """What the shell sees."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CHECK_FAILED = 3


def told_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: an error of ours is printed as `error: ...` with its mend, and the exit code is 1."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TaximeterError as error:
            typer.echo(describe(error), err=True)
            raise typer.Exit(ExitCode.FAILURE) from error

    return wrapped


def describe(error: TaximeterError) -> str:
    """The error for people; the mend, where there is one, on a line of its own."""
    if isinstance(error, Misconfigured):
        return f"error: {error.problem}\n  mend: {error.mend}"
    return f"error: {error}"
