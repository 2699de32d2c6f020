"""What the pages of this repository name: links, commands, paths."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for folder in (".", "docs", "docs/decisions", "examples", "bench")
    for page in (ROOT / folder).glob("*.md")
    if page.is_file()
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
_COMMAND = re.compile(r"^(?:[A-Z_]+=\S* )*(taximeter [^`]+)")
_ENDS = {"|", "||", "&", "&&", ";", ">", "<"}


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


def links(page: Path) -> list[str]:
    """What the page links to within the repository, without anchors."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = (link.partition("#")[0] for link in _LINK.findall(prose))
    return [link for link in found if link and "://" not in link and not link.startswith("mailto:")]


def commands(text: str) -> list[list[str]]:
    """Every `taximeter ...` command line within code, as words; what a shell would do beside it is left out."""
    found = []
    for code in _CODE.findall(text):
        for line in code.strip("`").splitlines():
            command = _COMMAND.search(line.strip())
            if command is not None:
                found.append(words(command.group(1)))
    return found


def words(line: str) -> list[str]:
    """The words of one command, up to a pipe, a redirection, a comment or the next command."""
    lexer = shlex.shlex(line.removesuffix(')"'), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    taken: list[str] = []
    for word in lexer:
        if word in _ENDS:
            break
        taken.append(word)
    return taken


def map_entries(readme: str) -> list[str]:
    """Every path of the README's map: those that are indented lie under the last one that is not."""
    block = re.search(r"^## The map\n+```\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    entries, above = [], ""
    for line in filter(str.strip, block.group(1).splitlines()):
        named = re.split(r"\s{2,}", line.strip())[0].split(", ")
        if line.startswith(" "):
            entries += [f"{above}/{name}" for name in named]
        else:
            above = named[0].rstrip("/")
            entries += named
    return entries
