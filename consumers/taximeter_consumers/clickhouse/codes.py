"""ClickHouse's error codes and the HTTP statuses of what stands before it, sorted by what to do. Data only.

Every code that the engine knows stands in exactly one of these; a test says which ones a new version brings. Poison is
only what the bytes of a record are to blame for; and even then the sink believes it only if a trial that touches no
storage refuses the same bytes (see `sink.store`).
"""

from __future__ import annotations

from typing import Final

# Codes of an insert whose bytes the engine cannot take, whoever sends them and however often.
POISON: Final = {
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    467: "CANNOT_PARSE_BOOL",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    748: "AVRO_EXCEPTION",
    # A writer's schema whose types do not go with the columns: no record written with it can be stored.
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    53: "TYPE_MISMATCH",
    386: "NO_COMMON_TYPE",
}

# What any exception that is none of the server's own is wrapped in. Of these only the Avro library's are about bytes:
# others say that memory or a disk ran out.
WRAPPED: Final = 1001
WRAPPED_AVRO: Final = "avro::"

_MIGRATE: Final = "run `taximeter migrate`; if that changes nothing, look at the views on stored_events"
_VERSION: Final = "use ClickHouse 26.3 or later"
_USER: Final = "look at user and password in CLICKHOUSE_URL"
_PROFILE: Final = "let the settings profile of the user in CLICKHOUSE_URL change settings (readonly=0, no constraint)"
_RIGHTS: Final = "grant the user of CLICKHOUSE_URL SELECT and INSERT on the database"

# Codes that no retry and no other bytes will mend.
MISCONFIGURED: Final = {
    8: ("a table lacks a column", _MIGRATE),
    10: ("a table lacks a column", _MIGRATE),
    16: ("a table lacks a column", _MIGRATE),
    20: ("a table has other columns than its statement", _MIGRATE),
    46: ("the server does not know a function", _VERSION),
    47: ("a name in the query is unknown to the server", _MIGRATE),
    48: ("the server cannot do what a statement asks for", _VERSION),
    50: ("the server does not know a type", _VERSION),
    60: ("a table is missing", _MIGRATE),
    62: ("the server does not understand a statement", _VERSION),
    73: ("the server does not know the format Avro", "use a build of ClickHouse with Avro, version 26.3 or later"),
    81: ("the database is missing", "run `taximeter migrate`, or set CLICKHOUSE_DATABASE"),
    115: ("the server does not know a setting", _VERSION),
    164: ("the user may only read", "use a user with INSERT on the database in CLICKHOUSE_URL"),
    180: ("the user's settings profile is missing", "mend the server's users configuration"),
    192: ("the user is unknown", "look at the user in CLICKHOUSE_URL"),
    193: ("the password is wrong", "look at the password in CLICKHOUSE_URL"),
    194: ("a password is required", "put user and password into CLICKHOUSE_URL"),
    195: ("the user may not come from this address", "allow this machine's address for the user of CLICKHOUSE_URL"),
    199: ("the user's quota is missing", "mend the server's users configuration"),
    217: ("the port speaks another protocol", "put the HTTP port into CLICKHOUSE_URL, 8123 by default"),
    291: ("the user may not use the database", _RIGHTS),
    344: ("the server has a needed feature switched off", _VERSION),
    392: ("the server prohibits a statement", _PROFILE),
    401: ("the server was built without a needed feature", _VERSION),
    446: ("the server does not allow a function", _PROFILE),
    452: ("the user's profile constrains a setting that the statement needs", _PROFILE),
    471: ("the server refuses a setting's value", _VERSION),
    472: ("the user's profile pins a setting that the statement needs", _PROFILE),
    497: ("the user lacks a grant", _RIGHTS),
    516: ("user or password is wrong", _USER),
    620: ("the server does not allow a statement", _PROFILE),
    720: ("the user has expired", _USER),
    721: ("the server has a function switched off as deprecated", _VERSION),
    759: ("the server's licence does not allow this", "look at the server's log"),
    767: ("the user needs a second factor", "use a user for machines in CLICKHOUSE_URL"),
    774: ("a table can only be read, for good", "look at the server's disks and at the table's engine"),
}

# Passes by itself or when an operator acts; what is the matter meanwhile. Nothing is lost by waiting.
HINTS: Final = {
    159: "it did not finish in time; see what keeps the server busy",
    160: "it was too slow for max_execution_speed of the user's profile",
    173: "the server is out of memory",
    198: "a name does not resolve on the server",
    201: "the user's quota is used up until its interval ends",
    202: "too many queries run at the same time",
    225: "the server has no Keeper",
    241: "the server is out of memory, or the query's limit is below a batch: see TAXIMETER_SINK_BATCH_BYTES",
    242: "the table is read-only for now; the server may have lost its Keeper",
    243: "the server's disk is full",
    252: "too many parts: merges are behind; see system.parts and system.merges",
    285: "too few replicas are alive for insert_quorum",
    286: "a former insert has no quorum yet",
    319: "the outcome of the insert is not known; the same bytes are sent again",
    364: "too many requests",
    394: "somebody cancelled the query",
    396: "a limit of the user's profile on rows or bytes is below a batch: see TAXIMETER_SINK_BATCH_ROWS",
    158: "max_rows_to_read of the user's profile is too small",
    307: "max_bytes_to_read of the user's profile is too small",
    469: "a constraint on a table refuses the rows: drop it, for what is sound is decided by the sink's guards",
    565: "max_partitions_per_insert_block of the user's profile is too small",
    574: "a Distributed table has too many bytes waiting for other shards",
    692: "too many mutations are unfinished",
    700: "too many sessions of the user",
    712: "too many materialized views on a table",
    735: "the connection broke",
    745: "the server is overloaded",
    749: "too many connections",
    762: "too many connections",
    776: "a resource limit of the server is reached",
    1016: "the table has reached its size limit",
    999: "Keeper answers with an error",
}


def _codes(ranges: str) -> frozenset[int]:
    """The numbers in `1-3 7`."""
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


# Retryable because it passes: input and output, network, replicas and Keeper, parts that are busy, limits of the
# moment, a server that starts, stops or is taken by surprise (LOGICAL_ERROR, exceptions that it does not know).
PASSING: Final = _codes(
    "3 23-24 39-40 49 71 74-77 86-88 91 95-96 99-102 107 172 203-204 209-210 214 216 218 224 226-228 230-236 239-240"
    " 244 246 251 254-255 257 265 270-275 279 289-290 294-295 297 305 308 341 354-355 359 361-363 369 372-373"
    " 384 388-389 400 410-411 415-416 425 439 458 461 473 499-500 507 519 529 531 555 560-561 566 568 571 573 586"
    " 588-589 593 617-618 625 631 635 641 659 661-662 667-668 677-679 693 695-696 702 707 709-711 713-714 722 724"
    " 733-734 737-738 740-741 747 757 763-764 771 775 777-778 780 900-905 1000 1002 1005 1008-1010 1014-1015 1017-1020"
)

# Retryable because our statements cannot bring it about: DDL, other formats and engines, dictionaries, backups, joins,
# start-up. If one comes all the same, good records must not pay for what nobody foresaw.
FOREIGN: Final = _codes(
    "0-2 4 7 9 11-13 15 19 28 34-37 42 51-52 55-59 63 68 78-80 82-85 89-90 92-94 104 108-114 116 119-125 127 129-130 "
    "133-135 137-139 141-142 145 152-153 156 161-162 165-170 174 179 181-184 186-187 190-191 196 206-208 211-213 215 "
    "219-221 223 229 237-238 248 253 256 258 260-264 266 269 277 280-284 287-288 293 298-304 306 309 318 336 342 "
    "345-347 352-353 358 360 366 370-371 374-375 377-378 380-383 385 387 390-391 393 397-399 402-404 406 408 412-413 "
    "417-424 427 429-438 440-445 447-451 453-457 459-460 463-466 468 474-484 487 489-493 495-496 498 501-504 508-515 "
    "517-518 520-521 523-525 527-528 530 532 535-549 552-554 556-559 562-564 567 569-570 572 575-585 587 590-592 "
    "594-611 614-616 619 621-624 626-630 632 634 636-640 642-643 645 647-655 660 663-665 669-676 690 694 697-699 701 "
    "703-706 708 715-719 723 725-731 736 739 742-744 746 750-756 758 760-761 765-766 768-770 772-773 779 781-784 "
    "800-801 906 1003-1004 1006-1007 1011-1013"
)

# Answers without a code of ClickHouse come from what stands before it: a proxy, a load balancer, another server.
_PROXY_AUTH: Final = "what stands before ClickHouse asks for credentials or forbids the way; look at CLICKHOUSE_URL"
_NOT_HERE: Final = "put the address of ClickHouse's HTTP port into CLICKHOUSE_URL, with https where it speaks TLS"
_TOO_LARGE: Final = (
    "raise the limit on request bodies of the proxy before ClickHouse (nginx: client_max_body_size),"
    " or lower TAXIMETER_SINK_BATCH_BYTES"
)
_TOO_LONG: Final = "raise the limit on the length of URLs and headers of the proxy before ClickHouse to 16 KiB"

HTTP_MISCONFIGURED: Final = {
    **dict.fromkeys((300, 301, 302, 303, 304, 305, 307, 308), ("the address leads elsewhere", _NOT_HERE)),
    400: ("the address does not take such requests", _NOT_HERE),
    401: ("credentials are missing or wrong", _PROXY_AUTH),
    402: ("the service asks for payment", "look at the account of the ClickHouse service"),
    403: ("access is forbidden", _PROXY_AUTH),
    405: ("the address does not take such requests", _NOT_HERE),
    406: ("the address does not take such requests", _NOT_HERE),
    407: ("the proxy asks for credentials", _PROXY_AUTH),
    410: ("the address is gone", _NOT_HERE),
    411: ("the proxy asks for the length of the body", "let the proxy pass chunked bodies"),
    413: ("the proxy refuses bodies of this size", _TOO_LARGE),
    414: ("the proxy refuses URLs of this length", _TOO_LONG),
    415: ("the address does not take such requests", _NOT_HERE),
    426: ("the address asks for another protocol", _NOT_HERE),
    431: ("the proxy refuses headers of this length", _TOO_LONG),
    451: ("access is forbidden", _PROXY_AUTH),
    505: ("the address asks for another protocol", _NOT_HERE),
    511: ("the network asks for a login", _PROXY_AUTH),
}

# Passes: also a 404, which is what a load balancer says while nothing stands behind it.
HTTP_HINTS: Final = {
    404: "nothing answers behind this address for now; look at CLICKHOUSE_URL if it does not pass",
    408: "the proxy did not wait for the whole request",
    425: "the proxy wants the request again",
    429: "too many requests for the proxy",
    500: "the proxy failed",
    502: "no ClickHouse answers behind the proxy",
    503: "no ClickHouse answers behind the proxy",
    504: "ClickHouse did not answer the proxy in time; the outcome is not known, and the same bytes are sent again",
    507: "the proxy's disk is full",
}
# What no server and no proxy of ClickHouse means; tried again.
HTTP_FOREIGN: Final = frozenset({409, 412, 416, 417, 418, 421, 422, 423, 424, 428, 501, 506, 508, 510})
