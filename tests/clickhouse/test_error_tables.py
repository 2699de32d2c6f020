"""ClickHouse's errors in our tree: every code that the engine knows, every HTTP status, every refusal of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

import pytest
from clickhouse_connect.driver import exceptions as driver
from tests.http_answer import answering

from taximeter_consumers.clickhouse import ClickHouse, codes, connect
from taximeter_consumers.clickhouse.errors import translate, translate_driver
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import Misconfigured, Poison, Retryable, TaximeterError
from taximeter_schemas.settings import ClickHouseSettings

_TABLES = (
    frozenset(codes.POISON),
    frozenset(codes.MISCONFIGURED),
    frozenset(codes.HINTS),
    codes.PASSING,
    codes.FOREIGN,
    frozenset({codes.WRAPPED}),
)


@pytest.fixture
def engine(local_stack: StackAddresses) -> Iterator[ClickHouse]:
    """A connection that needs no database of its own."""
    with closing(connect(ClickHouseSettings(url=local_stack.clickhouse_url), database="default")) as clickhouse:
        yield clickhouse


@pytest.mark.integration
def test_every_code_of_the_engine_is_in_exactly_one_table(engine: ClickHouse) -> None:
    """A new version of the engine that brings a code must be thought about: put it into a table of `codes`."""
    known = dict(
        engine.rows("SELECT number, errorCodeToName(toUInt32(number)) AS name FROM numbers(20000) WHERE name != ''")
    )
    places = {code: sum(code in table for table in _TABLES) for code in known}
    unsorted = {code: known[code] for code, count in places.items() if count != 1}
    assert unsorted == {}, "codes that stand in no table, or in two"
    assert {code: name for code, name in codes.POISON.items() if known.get(code) != name} == {}


def test_every_http_status_is_in_exactly_one_table() -> None:
    """What a proxy may answer instead of ClickHouse is decided, status by status."""
    failures = {status.value for status in HTTPStatus if status.value >= 300 and status.value != 306}
    tables = (set(codes.HTTP_MISCONFIGURED), set(codes.HTTP_HINTS), set(codes.HTTP_FOREIGN))
    assert {status for status in failures - {304} if sum(status in table for table in tables) != 1} == set()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (252, Retryable),  # TOO_MANY_PARTS
        (241, Retryable),  # MEMORY_LIMIT_EXCEEDED
        (243, Retryable),  # NOT_ENOUGH_SPACE
        (242, Retryable),  # TABLE_IS_READ_ONLY
        (164, Misconfigured),  # READONLY
        (394, Retryable),  # QUERY_WAS_CANCELLED
        (159, Retryable),  # TIMEOUT_EXCEEDED
        (999, Retryable),  # KEEPER_EXCEPTION
        (201, Retryable),  # QUOTA_EXCEEDED
        (319, Retryable),  # UNKNOWN_STATUS_OF_INSERT
        (49, Retryable),  # LOGICAL_ERROR
        (60, Misconfigured),  # UNKNOWN_TABLE
        (497, Misconfigured),  # ACCESS_DENIED
        (516, Misconfigured),  # AUTHENTICATION_FAILED
        (117, Poison),  # INCORRECT_DATA
        (987_654, Retryable),  # a code that nobody knows
    ],
)
def test_a_code_is_named_by_what_to_do(code: int, kind: type[TaximeterError]) -> None:
    """The same verdict, whether the driver gives the code or only the text has it."""
    assert type(translate(f"Code: {code}. DB::Exception: whatever")) is kind
    assert type(translate_driver(driver.DatabaseError("whatever", code=code))) is kind


def test_a_wrapped_exception_is_poison_only_from_the_avro_reader() -> None:
    """The engine wraps foreign exceptions under one code; memory and disks are no fault of the bytes."""
    wrapped = "std::exception. Code: 1001, type: {}, e.what() = EOF reached"
    assert isinstance(translate(wrapped.format("avro::Exception")), Poison)
    assert isinstance(translate(wrapped.format("std::bad_alloc")), Retryable)
    assert isinstance(translate(wrapped.format("std::__1::__fs::filesystem::filesystem_error")), Retryable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (driver.OperationalError("Error reading executing HTTP request attempt 1"), Retryable),
        (driver.StreamFailureError("the stream broke"), Retryable),
        (driver.DatabaseError("The ClickHouse server returned an error"), Retryable),
        (driver.InternalError("unexpected"), Retryable),
        (driver.ProgrammingError("Setting max_threads is readonly"), Misconfigured),
        (driver.ProgrammingError("No data specified for insert"), Misconfigured),
        (driver.DataError("Failed to convert"), Misconfigured),
        (driver.NotSupportedError("no"), Misconfigured),
        (driver.StreamClosedError(), Misconfigured),
    ],
)
def test_an_exception_without_a_code_is_an_unknown_outcome_or_a_fault(
    error: driver.ClickHouseError, kind: type[TaximeterError]
) -> None:
    """Nothing that the driver refuses by itself is tried for ever; what broke on the way is."""
    assert type(translate_driver(error)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Retryable),
        (413, Misconfigured),
        (429, Retryable),
        (500, Retryable),
        (502, Retryable),
        (503, Retryable),
        (504, Retryable),
        (302, Misconfigured),
    ],
)
def test_a_proxy_that_answers_for_clickhouse_is_understood(status: int, kind: type[TaximeterError]) -> None:
    """An answer without a code of ClickHouse is judged by its HTTP status, and names it."""
    with answering(status) as url, pytest.raises(kind, match=str(status)):
        connect(ClickHouseSettings(url=url))
