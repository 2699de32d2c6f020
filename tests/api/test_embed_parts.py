"""Tokens of embedded pages and the origins that may show them, without servers."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from taximeter_consumers.api.embed.origins import origins_of, policy
from taximeter_consumers.api.embed.tokens import EmbedToken, Refusal, _encoded, _signature, signed, verified
from taximeter_consumers.api.settings import ApiSettings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD, NEW = "o" * 32, "n" * 40
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=256)
tokens = st.builds(
    EmbedToken,
    account_id=names.filter(bool),
    user_id=names,
    expires_at=st.integers(1, 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    key_id=st.text("0123456789abcdef", max_size=16),
)


def of(payload: object, secret: str = NEW) -> str:
    """A text with a right signature around anything."""
    part = urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"{part}.{_encoded(_signature(part, secret))}"


@given(tokens)
def test_a_token_reads_back_until_it_is_over(token: EmbedToken) -> None:
    """Under each secret that verifies; not a moment after its time; not under another secret."""
    text = signed(token, OLD)
    assert verified(text, (NEW, OLD), NOW) == token
    assert verified(text, (OLD,), token.expires_at - timedelta(microseconds=1)) == token
    assert verified(text, (OLD,), token.expires_at) is Refusal.EXPIRED
    assert verified(text, (NEW,), NOW) is Refusal.WRONG
    assert verified(text, (), NOW) is Refusal.WRONG


@given(tokens, st.data())
def test_no_other_text_passes_for_a_token(token: EmbedToken, data: st.DataObject) -> None:
    """One character changed, anywhere: wrong, even if it was over."""
    text = signed(token, NEW)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda letter: letter != text[place]))
    assert verified(text[:place] + other + text[place + 1 :], (NEW,), NOW) is Refusal.WRONG


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_without_an_error(text: str) -> None:
    """Whatever is sent."""
    assert verified(text, (NEW,), NOW) is Refusal.WRONG
    assert verified(f"{text}.{text}", (NEW,), NOW) is Refusal.WRONG


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(json_values, json_values, json_values)
def test_a_signed_text_that_is_no_token_is_refused(whole: object, account: object, ends: object) -> None:
    """Other kinds of values, and none at all."""
    assert isinstance(verified(of(whole), (NEW,), NOW), Refusal)
    found = verified(of({"accountId": account, "expiresAt": ends}), (NEW,), NOW)
    assert isinstance(found, Refusal) or (isinstance(account, str) and type(ends) is int)


def test_a_product_may_sign_by_itself_but_not_for_long() -> None:
    """Without a key; a day at most, by any clock that is minutes off."""

    def shown(seconds: int) -> object:
        return verified(of({"accountId": "a", "expiresAt": int(NOW.timestamp()) + seconds}), (NEW,), NOW)

    assert shown(60) == EmbedToken("a", "", NOW + timedelta(seconds=60))
    assert shown(86_400 + 299) != Refusal.WRONG
    assert shown(86_400 + 301) is Refusal.WRONG
    assert shown(-1) is Refusal.EXPIRED


def test_settings_refuse_what_is_not_safe() -> None:
    """Short secrets, and origins that would be other words of the policy; several of each are fine."""
    good = ApiSettings(embed_secret=f" {NEW}, {OLD} ", embed_origins="self https://App.example.com/,http://[::1]:80")  # type: ignore[arg-type]  # as an environment gives it
    assert good.embed_secrets == (NEW, OLD)
    assert NEW not in repr(good)
    assert origins_of(good.embed_origins) == ("'self'", "https://app.example.com", "http://[::1]:80")
    assert policy(origins_of(good.embed_origins)).endswith(
        "frame-ancestors 'self' https://app.example.com http://[::1]:80"
    )
    assert origins_of("") == ("'self'",)
    for secret in ("short", f"{NEW},short"):
        with pytest.raises(ValidationError) as refused:
            ApiSettings(embed_secret=secret)  # type: ignore[arg-type]  # as an environment gives it
        assert "openssl" in str(refused.value)
    for origin in ("*", "https:", "app.example.com", "https://a;b", "https://a/b", "https://*.a.b", "javascript:x"):
        with pytest.raises(ValidationError):
            ApiSettings(embed_origins=origin)


@given(st.text(max_size=30))
def test_no_setting_of_origins_adds_to_the_policy(text: str) -> None:
    """It is refused, or names origins alone."""
    try:
        found = origins_of(text)
    except ValueError:
        return
    said = policy(found)
    assert said.count(";") == policy(("'self'",)).count(";")
    assert "\n" not in said
    assert "\r" not in said
