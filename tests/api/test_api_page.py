"""docs/api.md is true: each of its curl lines is sent by curl to a real API, and every route has one."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.documented import Documented

from taximeter_consumers.api.curl_line import curl_line

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
# An endless answer is left after that.
STREAM_SECONDS = "2"


def lines(text: str) -> list[str]:
    """Every curl command of the page's shell blocks, with its continuations."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found = [re.split(r"^(?=curl )", block, flags=re.MULTILINE) for block in blocks]
    return [line.strip() for parts in found for line in parts if line.startswith("curl ")]


def route_of(line: str) -> tuple[str, str]:
    """(method, path with names for what stands in its places)."""
    words = shlex.split(line)
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
    return method.lower(), words[-1].removeprefix("$TAXIMETER_API_URL").partition("?")[0]


def operation_of(document: dict[str, Any], line: str) -> tuple[str, str]:
    """The operation of the document that a line asks; the one with fewer places, where two fit."""
    method, path = route_of(line)
    fits = [
        template
        for template, methods in document["paths"].items()
        if method in methods and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    assert fits, f"no route for {line}"
    return method, min(fits, key=lambda template: template.count("{"))


def sent(line: str, environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """The status and the body of what a line asks, by curl itself in a shell."""
    streaming = " -N " in line
    limit = f" --max-time {STREAM_SECONDS}" if streaming else ""
    told = "--silent --show-error --no-progress-meter --write-out '\\n%{http_code}'" + limit
    done = subprocess.run(
        ["bash", "-c", line.replace("curl ", f"curl {told} ", 1)],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in ((0, 28) if streaming else (0,)), (line, done.stderr)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def environment_of(world: Documented) -> dict[str, str]:
    """What the page's lines have in their environment."""
    return {
        "PATH": os.environ["PATH"],
        "TAXIMETER_API_URL": world.url,
        "TAXIMETER_API_KEY": world.acme,
        "TAXIMETER_OPERATOR_KEY": world.operator,
        "INTERNAL_API_KEY": world.internal,
    }


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_every_line_of_the_page_works(world: Documented, tmp_path: Path) -> None:
    """In the order of the page: none is refused, and ids that answers give are used by later lines."""
    environment = environment_of(world)
    second = world.writing.ask("POST", "/v1/reservations", world.acme, json={"amounts": {"total_tokens": 1}}).json()
    environment["SECOND_RESERVATION_ID"] = second["reservationId"]
    for line in lines(PAGE.read_text(encoding="utf-8")):
        status, body = sent(line, environment, tmp_path)
        assert 200 <= status < 300, (line, status, body)
        told = json.loads(body) if body.startswith("{") else {}
        environment |= {"RESERVATION_ID": told["reservationId"]} if told.get("state") == "open" else {}
        environment |= {"EMBED_TOKEN": told["token"]} if "token" in told else {}
        if " -N " in line:
            assert "event: usage" in body
    assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "usage.csv").read_text().count("\n") == 4
    assert (tmp_path / "costs.parquet").read_bytes().startswith(b"PAR1")


@pytest.mark.integration
def test_every_route_has_a_line(world: Documented) -> None:
    """A route that is new fails here until the page has it."""
    document = world.document
    asked = {operation_of(document, line) for line in lines(PAGE.read_text(encoding="utf-8"))}
    assert asked == {(method, path) for path, methods in document["paths"].items() for method in methods}


@pytest.mark.integration
def test_answers_of_the_page_are_answers_of_the_api(world: Documented) -> None:
    """Every member that an example names is in the document, with the same name."""
    document = json.dumps(world.document)
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) > 25
    for example in examples:
        for name in names_in(json.loads(example)):
            assert f'"{name}"' in document, name


def names_in(value: Any) -> Iterator[str]:
    """The names of all members, however deep."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield name
        yield from names_in(inner)
    for inner in value if isinstance(value, list) else ():
        yield from names_in(inner)


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_lines_that_are_made_from_the_document_are_of_its_routes(world: Documented, tmp_path: Path) -> None:
    """Those of /docs: each asks its own route with the secret that the route wants; those that only read are sent."""
    document = world.document
    for path, methods in document["paths"].items():
        for method in methods:
            line = curl_line(document, path, method)
            assert operation_of(document, line) == (method, path)
            if method == "get" and "{" not in path and "embed" not in path and "stream" not in path:
                assert sent(line, environment_of(world), tmp_path)[0] == 200, line
    assert 'INTERNAL_API_KEY: $INTERNAL_API_KEY"' in curl_line(document, "/worker/charge-tokens", "post")
    assert "Bearer" not in curl_line(document, "/worker/charge-tokens", "post")
    assert sent(curl_line(document, "/worker/charge-tokens", "post"), environment_of(world), tmp_path)[0] == 200
