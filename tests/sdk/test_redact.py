"""Redaction: a planted secret never survives, wherever it stands, and no text takes long."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taximeter.emitter.reading import ERROR_LIMIT
from taximeter.redact import GONE, LOOKED_AT, redact, redact_pair, redact_tags, scrub
from taximeter.testing import RecordedMeter

_B62 = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
_URL64 = _B62 + "-_"


def _of(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


# (what is planted, which part of it must not survive)
_shapes = st.one_of(
    _of(_URL64, 20, 60).map(lambda s: "sk-" + s),
    _of(_URL64, 20, 60).map(lambda s: "sk-ant-api03-" + s),
    _of(_URL64, 20, 60).map(lambda s: "sk-proj-" + s),
    _of(_B62, 24, 40).map(lambda s: "sk_live_" + s),
    _of(string.ascii_uppercase + string.digits, 16, 16).map(lambda s: "AKIA" + s),
    _of(_B62, 36, 36).map(lambda s: "ghp_" + s),
    _of(_B62 + "_", 40, 80).map(lambda s: "github_pat_" + s),
    _of(_B62, 24, 40).map(lambda s: "xoxb-1234567890-" + s),
    _of(_URL64, 35, 35).map(lambda s: "AIza" + s),
    _of(_B62, 34, 34).map(lambda s: "hf_" + s),
    _of(_B62, 40, 52).map(lambda s: "gsk_" + s),
    st.tuples(_of(_URL64, 20, 60), _of(_URL64, 20, 200), _of(_URL64, 20, 90)).map(lambda p: "eyJ" + ".".join(p)),
    st.lists(_of(string.digits, 4, 4), min_size=4, max_size=4).map(" ".join),
    st.lists(_of(string.digits, 4, 4), min_size=4, max_size=4).map("-".join),
    _of(string.digits, 13, 30),
    st.tuples(_of(_B62 + "._%+-", 1, 40), _of(_B62 + "-", 1, 20), st.sampled_from(["com", "example.org", "co.uk"])).map(
        lambda p: f"{p[0]}@{p[1]}.{p[2]}"
    ),
    _of(_B62 + "+/=\n", 64, 400).map(lambda s: f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n-----END RSA PRIVATE KEY-----"),
    _of(_B62 + "+/=\n", 64, 400).map(lambda s: f"-----BEGIN PRIVATE KEY-----\n{s}"),
)
_around = st.text(alphabet=" \n\t.,;:()[]{}<>'\"|=&?!ü€" + string.ascii_letters, max_size=40)
_edges = st.sampled_from([" ", "\n", "'", '"', "(", "[", ":", "=", ",", "%20", "\\n", "/", "<"])


@settings(max_examples=400, deadline=None)
@given(_around, _edges, _shapes, st.sampled_from([" ", "\n", "'", '"', ")", ",", "", ";"]), _around)
def test_a_known_shape_never_survives(before: str, edge: str, secret: str, end: str, after: str) -> None:
    """Anywhere in a text, between any delimiters."""
    assert secret not in redact(before + edge + secret + end + after)


_names = st.sampled_from(
    ["password", "PASSWORD", "passwd", "pwd", "token", "access_token", "refresh_token", "api_key", "apikey", "api-key",
     "X-Api-Key", "OPENAI_API_KEY", "client_secret", "secret", "aws_secret_access_key", "private_key", "AccountKey",
     "x-amz-signature", "sig", "auth", "credentials", "session_id", "user_password"]
)  # fmt: skip
_values = _of(_B62 + "!#$%*+-./:?@^_~", 8, 60).filter(lambda value: value.strip("!#$%*+-./:?@^_~") != "")


@settings(max_examples=400, deadline=None)
@given(_names, _values, _around, _around, st.integers(0, 9))
def test_a_named_secret_never_survives(name: str, value: str, before: str, after: str, form: int) -> None:
    """As a pair of a query, a header, JSON, escaped JSON, a repr, a shell line or a URL's password."""
    assume(value not in before + after)
    planted = [
        f"{name}={value}",
        f"{name}: {value}",
        f"{name} = '{value}'",
        json.dumps({name: value}),
        json.dumps(json.dumps({name: value})),
        repr({name: value}),
        f"https://api.example.com/v1?x=1&{name}={value}&y=2",
        f"Authorization: Bearer {value}",
        f"curl -H 'Authorization: Basic {value}'",
        f"{name}=>{value}",
    ][form]
    assert value not in redact(f"{before} {planted} {after}")


@settings(max_examples=200, deadline=None)
@given(_of(_B62 + "!$*+-._~:", 1, 20), _of(_B62 + "!$*+-._~:/@", 8, 60), _around)
def test_the_password_of_a_url_never_survives(user: str, password: str, before: str) -> None:
    """Also where it has characters that a URL would escape."""
    start, end = f"{before} postgresql://{user}:", "@db.example.com:5432/metering failed"
    # A password that is another word of the text, say the name of the database, stays where it is that word.
    assume(password not in start + end)
    assert password not in redact(f"{start}{password}{end}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the model gpt-4o-2024-08-06 is overloaded, retry after 20 s",
        "This model's maximum context length is 8192 tokens: you asked for max_tokens=9000",
        "GET https://api.example.com/v1/files/report.pdf answered 404",
        "task-risk-assessment failed at step 12 of 14 (ValueError)",
        "invalid literal for int() with base 10: 'abc'",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A message that helps to find a cause is left as it is."""
    assert redact(text) == text


def test_a_secret_name_takes_its_whole_value() -> None:
    """In a mapping the name tells, whatever the value looks like."""
    assert redact_pair("Api-Key", "plain") == ("Api-Key", GONE)
    assert redact_pair("region", "eu-west-1") == ("region", "eu-west-1")


_HARD = [
    "a" * 65_536,
    "a@" * 32_768,
    "a." * 32_768,
    "a@a" + ".a" * 32_000,
    "://" * 21_845,
    "://a:" * 13_000,
    "-----BEGIN" * 6_500,
    "-----BEGIN A-----" * 3_800,
    "pwd" * 21_845,
    'password="' + "\\" * 65_000,
    "password='" * 6_500,
    "token " * 10_900,
    "1 " * 32_768,
    "1" * 65_536,
    "eyJaaaa." * 8_000,
    "bearer " * 9_300,
    "authorization" * 5_000,
    "cookie:" * 9_300,
    " " * 65_536,
    "sk-" * 21_845,
    "x-amz-security" * 4_600,
]


@pytest.mark.parametrize("place", range(len(_HARD)))
def test_time_is_linear_in_the_text(place: int) -> None:
    """Twice the text takes about twice the time, also for texts made to make patterns walk back."""
    whole = _HARD[place]

    def seconds(text: str) -> float:
        begin = time.thread_time()
        scrub(text)
        return time.thread_time() - begin

    quarter = min(seconds(whole[: len(whole) // 4]) for _ in range(3))
    # Quadratic time would be sixteen times as much; a text that takes a few milliseconds is noise.
    assert min(seconds(whole) for _ in range(3)) < 10 * quarter + 0.02


def test_a_text_beyond_all_bounds_is_cut_first() -> None:
    """What is not looked at is not kept, nor is the word that was cut in half."""
    assert "sk-abc" not in redact("x " * (LOOKED_AT // 2 - 2) + "sk-abcdefghijklmnop" * 9)
    assert ERROR_LIMIT == 500


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.example.com/v1/files/report.pdf?page=2 answered 404",
        "GET /search?q=what%20the%20customer%20asked&lang=en",
        "Cannot connect to https://h/p?sv=2020&prompt=hello",
    ],
)
def test_the_query_of_a_url_goes_as_a_whole(text: str) -> None:
    """It may hold what was asked; the path stays, because it helps."""
    assert "?[redacted]" in redact(text)
    assert "=" not in redact(text)


def test_tags_lose_secrets_and_keep_who_they_name() -> None:
    """A tag is a dimension of a bill: a key in it goes, an address or a number stays."""
    tags = {"team": "search", "owner": "ann@example.com", "card": "4111111111111111", "token_budget": "big"}
    assert redact_tags(tags) == tags
    assert redact_tags({"api_key": "abc", "note": "sk-proj-abcdefghijklmnop"}) == {
        "api_key": "[redacted]",
        "note": "[redacted]",
    }


def test_the_tags_of_an_event_are_redacted(recorded: RecordedMeter) -> None:
    """On the emitter's thread, once for a run."""
    with recorded.meter.run(tags={"team": "search", "auth_token": "hunter2"}) as run, run.node("n"):
        pass
    assert recorded.only().tags == {"team": "search", "auth_token": "[redacted]"}


@pytest.mark.parametrize("name", ["github_token", "Authorization", "set-cookie", "private_key", "db_pwd"])
def test_a_tag_that_is_named_like_a_secret_is_gone(name: str) -> None:
    """Whatever its value looks like."""
    assert redact_tags({name: "hunter2"}) == {name: GONE}


@pytest.mark.parametrize("name", ["authorization", "Proxy-Authorization", "set-cookie", "Cookie"])
def test_provider_metadata_that_holds_headers_loses_those_that_identify(name: str) -> None:
    """Their values have no shape of their own."""
    assert redact_pair(name, "__cf_bm=hunter2; path=/") == (name, GONE)


def test_a_text_of_spaces_costs_no_event(recorded: RecordedMeter) -> None:
    """However long it is, the node that it describes is metered."""
    assert redact(" " * (LOOKED_AT + 1)) == ""
    with recorded.meter.run() as run, run.node("n") as node:
        node.describe(description=" " * (LOOKED_AT + 1))
    assert recorded.only().description == ""
