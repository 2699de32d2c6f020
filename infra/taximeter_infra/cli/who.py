"""Who gives a command: for the records of what was changed, and of what cannot be taken back."""

from __future__ import annotations

import getpass

import typer


def who(by: str | None = None) -> str:
    """The option, else the user of this system. Raises typer.BadParameter where neither says it, as in a container
    whose user has no name."""
    try:
        return (by or getpass.getuser()).strip()
    except (OSError, KeyError) as error:
        raise typer.BadParameter("this system does not say who you are: set LOGNAME, or give --by") from error
