"""The pages say what is there: links, the map, commands with their options, targets of make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.docs.pages import PAGES, ROOT, commands, links, map_entries, name_of, words

from taximeter_infra.cli.app import app

# Words of prose that stand for a command.
_ANY = {"COMMAND", "..."}


def command_of(path: tuple[str, ...]) -> Any:
    """The command that these words lead to."""
    assert path in COMMANDS, f"there is no command `taximeter {' '.join(path)}`"
    return COMMANDS[path]


def options_of(command: Any) -> set[str]:
    """Every long option that its help shows."""
    shown = (parameter for parameter in command.params if not getattr(parameter, "hidden", False))
    return {"--help"} | {name for one in shown for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}


def check_command(command: list[str]) -> None:
    """Fails where the command, its subcommand or one of its options does not exist."""
    options = {word.partition("=")[0] for word in command if word.startswith("--")}
    if len(command) < 2 or command[1] in _ANY:
        return
    path: tuple[str, ...] = ()
    for word in command[1:]:
        if word.startswith("-") or not is_group(COMMANDS.get(path)):
            break
        path = (*path, word)
    known = options_of(command_of(path))
    assert options <= known, f"{' '.join(command)}: there is no {', '.join(sorted(options - known))}"


def is_group(command: Any) -> bool:
    """Whether it has commands of its own."""
    return hasattr(command, "commands")


def _commands() -> dict[tuple[str, ...], Any]:
    """Groups, the root among them, and commands: each by the words that lead to it. Made once, which takes a while."""
    found: dict[tuple[str, ...], Any] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        path, command = waiting.pop()
        found[path] = command
        if is_group(command):
            waiting += [((*path, name), one) for name, one in command.commands.items()]
    return found


COMMANDS = _commands()
PATHS = sorted(path for path, command in COMMANDS.items() if not is_group(command))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """A file or a folder of this repository."""
    lost = [link for link in links(page) if not (page.parent / link).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    """What a reader copies is a command, and its help knows every option."""
    for command in commands(page.read_text(encoding="utf-8")):
        check_command(command)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_examples_of_every_help_exist(path: tuple[str, ...]) -> None:
    """The examples below `--help` are held to the same."""
    examples = str(command_of(path).help).partition("Examples:")[2]
    found = re.findall(r"taximeter .*", examples)
    assert found
    for line in found:
        check_command(words(line.strip()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_of_make_exists(page: Path) -> None:
    """`make TARGET`, wherever a page has it as code."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)make (?:-s )?([a-z-]+)(?=[\s`])", text, re.MULTILINE)
    assert set(named) <= targets


def test_the_map_matches_the_tree() -> None:
    """Every path on the README's map is there, and every root package is on it."""
    entries = map_entries((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [entry for entry in entries if not (ROOT / entry).exists()] == []
    packages = {str(folder.parent.relative_to(ROOT)) for folder in ROOT.glob("*/taximeter*/__init__.py")}
    assert packages <= set(entries)


def test_commands_are_found_among_shell() -> None:
    """Variables before, comments, pipes and redirections after a command are not part of it."""
    assert words('taximeter sql --csv "SELECT 1 | 2" > a.csv') == ["taximeter", "sql", "--csv", "SELECT 1 | 2"]
    assert commands("Run `A=1 taximeter up --detach && b`.") == [["taximeter", "up", "--detach"]]
    assert commands("```sh\ntaximeter up   # why\n```") == [["taximeter", "up"]]
    with pytest.raises(AssertionError, match="--fly"):
        check_command(["taximeter", "report", "runs", "--fly"])
    with pytest.raises(AssertionError, match="no command"):
        check_command(["taximeter", "report", "birds"])
