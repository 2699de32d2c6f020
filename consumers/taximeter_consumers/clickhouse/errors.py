"""ClickHouse's error codes in our tree, in one table.

What is not listed is Retryable: a code that we do not know must not send good records to the dead letters. The server's
text is never passed on whole, because an exception on CSV, JSON or literals may quote data; the code and its name say
enough, and the server's own log has the rest.
"""

from __future__ import annotations

import re
from typing import Final

from taximeter_schemas.errors import Misconfigured, Poison, Retryable, TaximeterError

# Codes of an insert whose bytes the engine cannot take, whoever sends them and however often.
POISON: Final = {
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    33: "CANNOT_READ_ALL_DATA",
    41: "CANNOT_PARSE_DATETIME",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    # Exceptions of the Avro library, which the server wraps as they are.
    1001: "STD_EXCEPTION",
}

# Codes that no retry and no other bytes will mend.
MISCONFIGURED: Final = {
    16: ("a table lacks a column", "run `taximeter migrate`"),
    47: ("a name in the query is unknown to the server", "run `taximeter migrate`"),
    60: ("a table is missing", "run `taximeter migrate`"),
    62: ("the server does not understand a statement", "use ClickHouse 26.3 or later"),
    81: ("the database is missing", "run `taximeter migrate`, or set CLICKHOUSE_DATABASE"),
    115: ("the server does not know a setting", "use ClickHouse 26.3 or later"),
    164: ("the user may only read", "use a user with INSERT on the database in CLICKHOUSE_URL"),
    192: ("the user is unknown", "look at the user in CLICKHOUSE_URL"),
    193: ("the password is wrong", "look at the password in CLICKHOUSE_URL"),
    194: ("a password is required", "put user and password into CLICKHOUSE_URL"),
    497: ("the user lacks a grant", "grant the user of CLICKHOUSE_URL access to the database"),
    516: ("user or password is wrong", "look at user and password in CLICKHOUSE_URL"),
}

_CODE = re.compile(r"Code: (\d+)")


def code_of(text: str) -> int | None:
    """The server's error code in an exception's text, None where the text has none (no answer came)."""
    found = _CODE.search(text)
    return int(found.group(1)) if found else None


def translate(text: str) -> TaximeterError:
    """The error of ours for the text of an exception of the client."""
    code = code_of(text)
    if code is None:
        return Retryable("ClickHouse does not answer")
    if code in POISON:
        return Poison("refused", f"ClickHouse refuses the data (code {code}, {POISON[code]})")
    if code in MISCONFIGURED:
        problem, mend = MISCONFIGURED[code]
        return Misconfigured(f"ClickHouse: {problem} (code {code})", mend=mend)
    return Retryable(f"ClickHouse answered with code {code}")
