"""`taximeter quota show|check|reserve|confirm|release|quote`, as their users call them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from tests.quota.sdk.conftest import Site
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_infra.cli.quota_quote_view import show_quote
from taximeter_schemas.quota.answers import Answer, Quotation, QuotedNode, Status

pytestmark = pytest.mark.integration


@pytest.fixture
def quota(serving: Site, monkeypatch: pytest.MonkeyPatch) -> Quota:
    """Calls a command against the running service."""
    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    return Quota()


class Quota:
    """The exit code and the two outputs of a command."""

    def __call__(self, *words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["quota", *words])
        return result.exit_code, result.stdout, result.stderr


def test_a_hold_by_hand(serving: Site, quota: Quota) -> None:
    """Reserved, seen in the table, confirmed by another call, which knows the account and the hold only."""
    account = ("--account", serving.account(1_000).account_id)
    code, out, _ = quota("reserve", *account, "total_tokens=600", "--json")
    hold_id = json.loads(out)["hold_id"]
    assert code == 0
    code, out, _ = quota("show", *account)
    assert code == 0
    assert "total_tokens a month, hard" in out
    assert "600" in out
    assert hold_id in out
    assert quota("confirm", hold_id, *account, "total_tokens=100")[:2] == (0, f"settled: {hold_id}\n")
    code, out, _ = quota("show", *account, "--json")
    (standing,) = json.loads(out)["standings"]
    assert (standing["used"], standing["remaining"], standing["percent"]) == ("100", "900", "10")
    assert quota("release", hold_id, *account)[1] == f"nothing is given back: {hold_id} was confirmed before\n"
    out = quota("show", *account)[1]
    assert hold_id not in out
    assert "1 closed hold is part of what is used" in out


def test_a_denial_is_exit_code_3_with_the_sentence(serving: Site, quota: Quota) -> None:
    """On stderr; with --json the answer is on stdout all the same."""
    account = ("--account", serving.account(1_000).account_id)
    for command in ("check", "reserve"):
        code, out, said = quota(command, *account, "total_tokens=1,001", "--json")
        assert code == 3
        assert "denied: no room for 1,001 total_tokens: account/" in said
        assert "1,000 are left until" in said
        assert json.loads(out)["status"] == "denied"
    assert quota("check", *account, "total_tokens=1000")[:2] == (0, "it could be reserved now\n")


def test_a_release_gives_all_of_it_back(serving: Site, quota: Quota) -> None:
    """And a hold that is not there is an error that says so."""
    account = ("--account", serving.account(1_000).account_id)
    hold_id = json.loads(quota("reserve", *account, "total_tokens=1000", "--json")[1])["hold_id"]
    assert quota("release", hold_id, *account)[0] == 0
    assert quota("check", *account, "total_tokens=1000")[0] == 0
    code, _, said = quota("release", "nothing", *account)
    assert code == 1
    assert "no hold nothing" in said


def test_amounts_that_are_none_are_told_apart(quota: Quota) -> None:
    """Exit code 2 and what is wrong, before anybody is asked."""
    for word, said in (
        ("tokens=5", "no meter"),
        ("total_tokens=0.5", "no whole number"),
        ("total_tokens", "not like"),
        ("total_tokens=none", "leave the meter out"),
    ):
        code, _, error = quota("check", "--account", "acme", word)
        assert code == 2
        assert said in " ".join(error.replace("│", " ").split())


def test_what_is_named_wrongly_is_told_apart(quota: Quota) -> None:
    """A meter twice, an account without a name."""
    said = quota("check", "--account", "acme", "total_tokens=1", "total_tokens=2")[2]
    assert "total_tokens is named twice" in said
    code, _, said = quota("show", "--account", "")
    assert code == 2
    assert "Invalid value for --account: give a name" in said


def test_a_subject_without_limits(quota: Quota) -> None:
    """Says how it gets some; as JSON the lists are there all the same."""
    assert "taximeter quota assign PLAN --account ID" in quota("show", "--account", "nobody")[1]
    shown = json.loads(quota("show", "--account", "nobody", "--json")[1])
    assert (shown["standings"], shown["holds"]) == ([], [])


def test_a_workflow_without_history(quota: Quota) -> None:
    """Says so, and since when."""
    said = quota("quote", "--workflow", "digest", "--account", "acme")[1]
    assert said.startswith("the rollups have no finished run of digest since 20")


def test_a_quote_shows_what_is_used_and_the_largest_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """Meters that nothing uses are left out; of many nodes the dearest twenty; what a cost lacks is said."""
    nodes = tuple(
        QuotedNode(node_id=f"n{number:02}", node_type="ai", runs=4, p50={}, p95={"cost_usd": Decimal(number)})
        for number in range(23)
    )
    used = {"total_tokens": Decimal(12_626), "code_us": Decimal(0), "cost_usd": Decimal("0.01936")}
    quoted = Quotation(workflow_id="w", runs=1_000, lacking=3, since=0, p50=used, p95=used, nodes=nodes)
    show_quote(Answer(command_id="", caller="", status=Status.QUOTED, quotation=quoted))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        ["a", "run", "uses", "p50", "p95"],
        ["total_tokens", "12,626", "12,626"],
        ["cost_usd", "$0.019360", "$0.019360"],
    ]
    assert lines[4] == ["n22", "ai", "4", "0", "0", "$0.000000", "$22.000000"]
    assert [" ".join(line) for line in lines[24:]] == [
        "3 smaller nodes are not shown; --json has all, by every meter",
        "by 1,000 finished runs since 1970-01-01 00:00 UTC",
        "the cost of 3 of them is not all known: expect more",
    ]
