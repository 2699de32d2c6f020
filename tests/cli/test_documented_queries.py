"""The queries that the pages show run on the tables as they are."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Taximeter
from tests.docs.pages import PAGES, commands, name_of

from taximeter_schemas.settings import ClickHouseSettings

QUERIES = [
    (name_of(page), command[-1])
    for page in PAGES
    for command in commands(page.read_text(encoding="utf-8"))
    if command[:2] == ["taximeter", "sql"] and " " in command[-1]
]


@pytest.mark.integration
def test_every_query_of_the_docs_runs(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """After `taximeter migrate`, with nothing stored yet; and there are queries to run."""
    assert len(QUERIES) >= 6
    assert taximeter("migrate").exit_code == 0
    for page, query in QUERIES:
        answer = taximeter("sql", query)
        assert answer.exit_code == 0, f"{page}: {query}\n{answer.stderr}"
