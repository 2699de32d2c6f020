"""ClickHouse's errors in our tree; `codes` has the tables.

What is in no table is Retryable: a code that we do not know must not send good records to the dead letters. The
server's text is never passed on whole, because an exception on CSV, JSON or literals may quote data; the code and its
name say enough, and the server's own log has the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clickhouse_connect.driver import exceptions as driver

from taximeter_consumers.clickhouse.codes import (
    HINTS,
    HTTP_HINTS,
    HTTP_MISCONFIGURED,
    MISCONFIGURED,
    POISON,
    WRAPPED,
    WRAPPED_AVRO,
)
from taximeter_schemas.errors import Misconfigured, Poison, Retryable

if TYPE_CHECKING:
    from taximeter_schemas.errors import TaximeterError

_CODE = re.compile(r"Code: (\d+)")
_STATUS = re.compile(r"HTTP status (\d{3})\b")
_SETTING = re.compile(r"^Setting \w+ is readonly$")
# Raised by the driver before anything is sent: it was used wrongly, and will be again.
_FAULTS_OF_OURS = (
    driver.ProgrammingError,
    driver.InterfaceError,
    driver.DataError,
    driver.NotSupportedError,
    driver.IntegrityError,
)


def code_of(text: str) -> int | None:
    """The server's error code in an exception's text, None where the text has none (no answer came)."""
    found = _CODE.search(text)
    return int(found.group(1)) if found else None


def translate(text: str) -> TaximeterError:
    """The error of ours for the text of an exception of the client."""
    code = code_of(text)
    if code is not None:
        return _by_code(code, text)
    status = _STATUS.search(text)
    return _by_status(int(status.group(1))) if status else Retryable("ClickHouse does not answer")


def translate_driver(error: driver.ClickHouseError) -> TaximeterError:
    """The error of ours for an exception of the driver.

    No answer means an unknown outcome: Retryable, and whoever sends the same bytes again under the same token loses and
    doubles nothing. A refusal by the driver itself, before anything was sent, is Misconfigured.
    """
    text = str(error)
    code = getattr(error, "code", None)
    if code is not None:
        return _by_code(code, text)
    if isinstance(error, _FAULTS_OF_OURS) and code_of(text) is None and not _STATUS.search(text):
        if _SETTING.match(text):
            problem, mend = MISCONFIGURED[452]
            return Misconfigured(f"ClickHouse: {problem}", mend=mend)
        return Misconfigured(
            f"the ClickHouse client was used wrongly ({type(error).__name__})",
            mend="this is a fault of Taximeter or of the client's version: report it with the log",
        )
    return translate(text)


def _by_code(code: int, text: str) -> TaximeterError:
    if code in POISON:
        return Poison("refused", f"ClickHouse refuses the data (code {code}, {POISON[code]})")
    if code == WRAPPED and WRAPPED_AVRO in text:
        return Poison("refused", f"ClickHouse refuses the data (code {code}, an exception of its Avro reader)")
    if code in MISCONFIGURED:
        problem, mend = MISCONFIGURED[code]
        return Misconfigured(f"ClickHouse: {problem} (code {code})", mend=mend)
    hint = HINTS.get(code)
    return Retryable(f"ClickHouse answered with code {code}" + (f": {hint}" if hint else ""))


def _by_status(status: int) -> TaximeterError:
    if status in HTTP_MISCONFIGURED:
        problem, mend = HTTP_MISCONFIGURED[status]
        return Misconfigured(f"before ClickHouse: {problem} (HTTP status {status})", mend=mend)
    hint = HTTP_HINTS.get(status)
    return Retryable(f"HTTP status {status} came instead of ClickHouse's answer" + (f": {hint}" if hint else ""))
