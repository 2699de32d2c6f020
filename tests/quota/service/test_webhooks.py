"""Webhooks: signed as Standard Webhooks says, tried again, given up loudly, and silent about secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.quota.service.receiver import Receiver, receiving
from tests.quota.service.world import World, facts, reserve

from taximeter_consumers.quota.alerts.alerts_out import Delivery, follow_alerts, printed_lines
from taximeter_consumers.quota.alerts.webhooks import Backoff, Webhooks, key_of, seconds_of_retry_after, signature
from taximeter_consumers.quota.service.settings import AlertSettings
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.answers import Alert, Standing, alert_of
from taximeter_schemas.quota.commands import Confirm
from taximeter_schemas.quota.limits import Action, OnOutage, Window

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def settings(*receivers: Receiver, **given: object) -> AlertSettings:
    """Quick, for tests."""
    return AlertSettings.model_validate(
        {
            "webhook_urls": tuple(one.url for one in receivers),
            "webhook_secret": SECRET,
            "webhook_wait_seconds": 0.01,
            "webhook_attempts": 4,
            **given,
        }
    )


def some_alert() -> Alert:
    """Some alert."""
    standing = Standing(
        level="account/acme", limit_id="most", meter="total_tokens", window=Window.MONTH, hard=True,
        action=Action.BLOCK, on_outage=OnOutage.CLOSED, limit=Decimal(100), added=Decimal(0), used=Decimal(50),
        held=Decimal(0), leased=Decimal(0), remaining=Decimal(50), starts_at=0, resets_at=1,
    )  # fmt: skip
    return Alert(alert_id="account/acme|most|0|50", root="account/acme", threshold=Decimal(50), standing=standing, at=7)


def deliver(settings: AlertSettings, alert: Alert | None = None) -> Delivery:
    """One alert by these settings."""
    told, webhooks = alert or some_alert(), Webhooks(settings, threading.Event())
    try:
        return webhooks.deliver(told, told.encoded())
    finally:
        webhooks.close()


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the specification's own libraries: same id, time, body and secret, same signature."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_id_that_no_header_can_carry_is_escaped() -> None:
    """Names of plans can be anything; the id is escaped in the header and in what is signed, and the same each time."""
    odd = some_alert().model_copy(update={"alert_id": "account/acme|größe\n1/x|0|50"})
    with receiving() as one:
        assert deliver(settings(one), odd) is Delivery.DELIVERED
        ((headers, body),) = one.got
    assert headers["webhook-id"] == "account/acme|gr%C3%B6%C3%9Fe%0A1/x|0|50"
    signed = signature(KEY, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == signed
    assert alert_of(body) == odd


@pytest.mark.parametrize("url", ["http://host:99999/x", "http://host/\nx", "http://\N{SNOWMAN}.com/", "http://[::1"])
def test_a_url_that_cannot_be_called_is_refused_at_the_start(url: str) -> None:
    """Not by the first alert; and the message does not show it."""
    with pytest.raises(Misconfigured) as refused:
        Webhooks(AlertSettings.model_validate({"webhook_urls": (url,), "webhook_secret": SECRET}), threading.Event())
    assert url not in str(refused.value)


def test_every_url_gets_the_alert_signed() -> None:
    """Id, time and signature are in the headers, and whoever has the secret can check the body."""
    with receiving() as first, receiving() as second:
        assert deliver(settings(first, second)) is Delivery.DELIVERED
        for one in (first, second):
            ((headers, body),) = one.got
            assert alert_of(body) == some_alert()
            assert headers["webhook-id"] == some_alert().alert_id
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{digest}"


def test_a_failure_is_tried_again_and_one_that_lasts_is_given_up() -> None:
    """Twice 500 and then taken; always 503 and given up after the bound; 410 is final at once."""
    with receiving() as receiver:
        receiver.script = [(500, {}), (429, {"retry-after": "0"})]
        assert deliver(settings(receiver)) is Delivery.DELIVERED
        assert len(receiver.got) == 3
        receiver.script, receiver.got = [(503, {})] * 9, []
        assert deliver(settings(receiver)) is Delivery.GIVEN_UP
        assert len(receiver.got) == 4
        receiver.script, receiver.got = [(410, {})], []
        assert deliver(settings(receiver)) is Delivery.GIVEN_UP
        assert len(receiver.got) == 1


def test_a_redirect_is_not_followed() -> None:
    """What is signed for one address is not handed to another."""
    with receiving() as receiver, receiving() as elsewhere:
        receiver.script = [(302, {"location": elsewhere.url})]
        assert deliver(settings(receiver)) is Delivery.DELIVERED
        assert (len(receiver.got), elsewhere.got) == (2, [])


def test_no_log_line_has_the_secret_or_a_url() -> None:
    """A webhook that fails in every way: the host is told, credentials and paths are not."""
    with receiving() as receiver, capture_logs() as lines:
        receiver.script = [(500, {})] * 4
        deliver(settings(receiver))
    with capture_logs() as more:
        deliver(settings(receiver))
    said = repr(lines + more)
    assert "127.0.0.1" in said
    assert not [word for word in ("hidden", "receive", "token", "whsec", SECRET.removeprefix("whsec_")) if word in said]


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_urls": ()},
        {"webhook_secret": None},
        {"webhook_secret": "whsec_hidden"},
        {"webhook_secret": base64.b64encode(KEY).decode()},
        {"webhook_urls": ("ftp://hidden@host",)},
    ],
)
def test_wrong_settings_are_refused_without_being_shown(wrong: dict[str, object]) -> None:
    """The message names the variable and the mend, and shows neither secret nor URL."""
    with receiving() as receiver, pytest.raises(Misconfigured) as refused:
        Webhooks(settings(receiver, **wrong), threading.Event())
    assert "TAXIMETER_ALERT_WEBHOOK_" in str(refused.value)
    assert "hidden" not in str(refused.value)


@given(attempt=st.integers(1, 200), asked=st.none() | st.floats(0, 1e9), seed=st.integers())
def test_waits_grow_within_their_bound(attempt: int, asked: float | None, seed: int) -> None:
    """At least half of the doubled wait or what Retry-After asks, and never more than the bound."""
    wait = Backoff(1.0, 300.0).wait(attempt, asked, random.Random(seed))
    least = min(300.0, 2.0 ** (attempt - 1)) / 2
    assert min(300.0, max(least, asked or 0.0)) <= wait <= 300.0


def test_retry_after_is_read_in_both_of_its_forms() -> None:
    """Seconds, or a date; anything else says nothing."""
    assert seconds_of_retry_after("120", 0.0) == 120
    assert seconds_of_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10.0) == 50
    assert seconds_of_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100.0) == 0
    assert (seconds_of_retry_after("soon", 0.0), seconds_of_retry_after(None, 0.0)) == (None, None)


@pytest.mark.integration
def test_alerts_go_out_once_each_and_on_where_the_group_stopped(world: World) -> None:
    """Thresholds of a run of the service, delivered by one follower, then the rest by the next."""
    held = reserve("acme", 80, "h-1")
    done = Confirm(
        command_id="done", caller="test", answer_to=0, root="account/acme", hold_id="h-1", actual=held.amounts
    )
    world.send(facts("acme", 100), held, done)
    world.run()
    given = AlertSettings(group_id=f"{world.group}.alerts")
    lines: list[str] = []
    stop = threading.Event()

    def one(_: Alert, body: bytes) -> Delivery:
        lines.append(body.decode())
        stop.set()
        return Delivery.DELIVERED

    follow_alerts(world.kafka, world.topics.alerts, given, one, stop)
    assert len(lines) == 1
    rest = follow_alerts(
        world.kafka, world.topics.alerts, given, printed_lines(lines.append), threading.Event(), until_caught_up=True
    )
    assert (rest.delivered, rest.given_up) == (1, 0)
    assert [str(alert_of(line.encode()).threshold) for line in lines] == ["50", "75"]


@pytest.mark.integration
def test_an_alert_that_was_not_delivered_is_left_to_the_next(world: World) -> None:
    """A stop in the middle of the attempts commits nothing: the next start delivers it."""
    world.send(facts("acme", 100, used=60))
    world.run()
    given = AlertSettings(group_id=f"{world.group}.alerts")
    follow_alerts(world.kafka, world.topics.alerts, given, lambda *_: Delivery.STOPPED, threading.Event())
    lines: list[str] = []
    told = follow_alerts(
        world.kafka, world.topics.alerts, given, printed_lines(lines.append), threading.Event(), until_caught_up=True
    )
    assert (told.delivered, len(lines)) == (1, 1)
