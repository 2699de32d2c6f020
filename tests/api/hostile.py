"""Requests that nobody sends on purpose, over every route of a document, always the same ones; and what they must get.

python -m tests.api.hostile --count 100000     # many more than the tests send
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import quote

from tests.api.in_process import Answered, Asked

from taximeter_consumers.api.problems import KINDS, MEDIA_TYPE

TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e308",
    "9" * 400,
    "true",
    "null",
    "[]",
    "{}",
    "%",
    "%00",
    "\x00",
    "\x1b[31m",
    "a\tb",
    "a\r\nX-Injected: 1",
    "'",
    '"',
    "\\",
    "\\N",
    "\\'",
    "' OR 1=1 --",
    "'); DROP TABLE stored_events; --",
    "{account:String}",
    "${jndi:ldap://x}",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe",
    "\u0000",
    "\ufeff",
    "\uffff",
    "\U0001f4a9" * 50,
    "e\u0301" * 100,
    "\u0130\u0131\u017f\ufb03",
    "x" * 257,
    "x" * 3_000,
    "x" * 9_000,
    "2026-13-45",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-01T00:00:00+99:99",
    "1e400",
    "1970-01-01",
    "2262-04-12",
    "WzEsMl0",
    "INV-1",
    "INV-99999999999999999999",
    "18446744073709551616",
)
RAW = ("%ff%fe", "%c0%80", "%ed%a0%80", "%", "%zz", "%u0041", "+", "&&&=&", "a=b=c;d", "%00%00")
"""Queries and paths that are no text."""

BODIES: tuple[Any, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"0",
    b'"text"',
    b'{"provider": NaN}',
    b'{"provider": "\\ud800", "model": "x"}',
    b'{"provider": "a", "provider": "b"}',
    b"\xff\xfe\x00",
    b"[" * 20_000,
    b'{"a":' * 5_000,
    b'{"inputTokens": ' + b"9" * 5_000 + b"}",
    b'{"model": "' + b"x" * 100_000 + b'"}',
    b"x" * (2**20 + 1),
)
FIELDS = (
    "provider",
    "model",
    "inputTokens",
    "outputTokens",
    "units",
    "serviceTier",
    "accountId",
    "at",
    "__proto__",
    "",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    2**63,
    -(2**63),
    10**400,
    "",
    "x" * 300,
    "\x00",
    "'",
    "\\",
    "\ud800",
    [],
    [[]],
    {},
    {"": ""},
    {"images": -1},
    {"images": 2**62},
    {"x" * 70: 1},
    {f"unit_{number}": 1 for number in range(40)},
    "2026-11-01",
    "gpt-4o",
    "openai",
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "image/png"},
    {"Accept": "," * 1_000},
    {"Accept": "text/html;q=1e999"},
    {"X-Request-Id": "x" * 500},
    {"X-Request-Id": "<script>"},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Length": "99999999999999999999"},
    {"Range": "bytes=0-1"},
    {"X-Filler": "x" * 40_000},
)


# Probes, which take no input.
_LEFT_OUT = ("/healthz", "/readyz", "/metrics")
LEAKS = (b"Traceback", b"clickhouse", b"DB::Exception", b"Code: ", b"site-packages", b"stored_events", b"SELECT ")


def requests(document: dict[str, Any], count: int, secrets: dict[str, str]) -> Iterator[Asked]:
    """So many requests with these headers, which open every route: what is refused is refused for itself."""
    random = Random(5)
    operations = [
        (method, path, [one for one in operation.get("parameters", ()) if one["in"] == "query"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path not in _LEFT_OUT
    ]
    for number in range(count):
        method, path, parameters = operations[number % len(operations)]
        verb = random.choice((method,) * 9 + ("get", "post", "put", "delete", "patch", "options", "head"))
        body = _body(random) if method == "post" or verb in ("post", "put", "patch") else None
        kind = {"Content-Type": "application/json"} if body is not None else {}
        headers = {**kind, **random.choice(HEADERS), **secrets}
        yield Asked(verb.upper(), _path(random, path) + _query(random, parameters), headers, body)


def complaint(asked: Asked, answered: Answered) -> str | None:
    """What is wrong with an answer: it is to be a right one, or a problem that says what to do. None: nothing."""
    if answered.status >= 500:
        return "a 5xx"
    if "x-injected" in answered.headers:
        return "a header of the caller's"
    if answered.status < 400 or asked.method == "HEAD":
        return None
    if answered.headers.get("content-type") != MEDIA_TYPE:
        return "no problem"
    told = json.loads(answered.body)
    if (told["status"], told["instance"]) != (answered.status, answered.headers["x-request-id"]):
        return "another status or request"
    if told["type"].removeprefix("/docs#") not in KINDS or not told["detail"]:
        return "no word of what to do"
    return next((f"it tells of {leak.decode()}" for leak in LEAKS if leak in answered.body), None)


def shown(asked: Asked, answered: Answered) -> str:
    """Both, short, without secrets."""
    short = replace(asked, url=asked.url[:300], headers={}, body=(asked.body or b"")[:200])
    return f"{short} -> {answered.status} {answered.body[:300]!r}"


def _path(random: Random, path: str) -> str:
    while "{" in path:
        name = path[path.index("{") : path.index("}") + 1]
        value = random.choice(RAW) if random.random() < 0.1 else quote(random.choice(TEXTS), safe="")
        path = path.replace(name, value.replace("?", ""))
    return path + random.choice(("",) * 30 + ("/", "//", "/x", "%2f", "%00"))


def _query(random: Random, parameters: list[dict[str, Any]]) -> str:
    if random.random() < 0.05:
        return f"?{random.choice(RAW)}"
    names = [one["name"] for one in parameters] + ["nonsense", "", "a[b]", "accountId"]
    chosen = [random.choice(names) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]
    pairs = [f"{quote(name, safe='')}={quote(random.choice(TEXTS), safe='')}" for name in chosen]
    if random.random() < 0.8:
        # Fields are looked at all the same, but what is well-formed by chance asks no server.
        pairs.append("nonsense=1")
    required = [f"{one['name']}=usage" for one in parameters if one.get("required") and one["name"] not in chosen]
    return "?" + "&".join(pairs + required) if pairs or required else ""


def _body(random: Random) -> bytes:
    if random.random() < 0.25:
        body: bytes = random.choice(BODIES)
        return body
    said: dict[str, Any] = {"provider": "openai", "model": "gpt-4o"}
    for _ in range(random.choice((1, 1, 2, 4))):
        said[random.choice(FIELDS)] = random.choice(VALUES)
    return json.dumps(said).encode()
