"""`taximeter quota show|check|reserve|confirm|release|quote`: one question each to the quota service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.quota_amounts import amounts_of
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from taximeter.quota import QuotaClient
    from taximeter_schemas.quota.answers import Answer
    from taximeter_schemas.quota.subject import Subject

Account = Annotated[str, typer.Option("--account", metavar="ID", help="Whose use it is, or whose hold")]
Organisation = Annotated[
    str, typer.Option(metavar="ID", help="That the account belongs to", show_default="found out by asking")
]
Project = Annotated[str, typer.Option(metavar="ID", help="A project of the account")]
User = Annotated[str, typer.Option(metavar="ID", help="A user of the account")]
Key = Annotated[str, typer.Option(metavar="ID", help="The name of an API key of the account, never the key")]
Run = Annotated[str, typer.Option(metavar="ID", help="A run, with everything that runs inside it")]
Words = Annotated[list[str], typer.Argument(metavar="METER=AMOUNT...", help="total_tokens=5000 cost_usd=0.25")]
HoldId = Annotated[str, typer.Argument(metavar="HOLD", help="As `reserve` printed it")]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON, with exact amounts")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.1, help="Seconds to wait for the answer", show_default="TAXIMETER_QUOTA_ANSWER_SECONDS"),
]


@told_plainly
def show(
    account: Account, organisation: Organisation = "", project: Project = "", user: User = "", key: Key = "",
    run: Run = "", timeout: Timeout = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Each limit that counts for a subject: used, held, leased, what is left, and when it resets; and what is held now.

    \b
    Examples:
      taximeter quota show --account acme
      taximeter quota show --account acme --user ada --json
    """
    from taximeter_infra.cli.quota_ask_view import show_standings

    with _client() as client:
        answer = client.show(_subject(account, organisation, project, user, key, run), timeout=timeout)
    _end(answer, as_json=as_json, view=show_standings)


@told_plainly
def check(
    amounts: Words, account: Account, organisation: Organisation = "", project: Project = "", user: User = "",
    key: Key = "", run: Run = "", timeout: Timeout = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Whether amounts could be reserved now; nothing is held. Exit code 3 and the reason where they could not.

    \b
    Examples:
      taximeter quota check --account acme total_tokens=5000
      taximeter quota check --account acme --project search total_tokens=5000 cost_usd=0.25
    """
    from taximeter_infra.cli.quota_ask_view import show_check

    asked = amounts_of(amounts)
    with _client() as client:
        answer = client.check(_subject(account, organisation, project, user, key, run), asked, timeout=timeout)
    _end(answer, as_json=as_json, view=show_check)


@told_plainly
def reserve(
    amounts: Words, account: Account, organisation: Organisation = "", project: Project = "", user: User = "",
    key: Key = "", run: Run = "",
    ttl: Annotated[int, typer.Option(min=1, help="Seconds after which it is given back by itself")] = 900,
    parent: Annotated[str | None, typer.Option(metavar="HOLD", help="Draw from this hold instead")] = None,
    timeout: Timeout = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Hold amounts before work is done. Exit code 3 and the reason where they are denied.

    \b
    Examples:
      taximeter quota reserve --account acme total_tokens=5000
      taximeter quota reserve --account acme --run nightly-7 total_tokens=50000 cost_usd=2.50 --ttl 3600
    """
    from taximeter_infra.cli.quota_ask_view import show_hold

    asked, subject = amounts_of(amounts), _subject(account, organisation, project, user, key, run)
    with _client() as client:
        answer = client.reserve(subject, asked, ttl=ttl, parent=parent, timeout=timeout)
    _end(answer, as_json=as_json, view=show_hold)


@told_plainly
def confirm(
    hold: HoldId, amounts: Words, account: Account, organisation: Organisation = "", timeout: Timeout = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Settle a hold by what was used. A meter of it that is not named counts as used up.

    \b
    Examples:
      taximeter quota confirm 0199f0c2-5a11-7c3e-8d21-0a4b9c8d7e6f --account acme total_tokens=4200
    """
    from taximeter_infra.cli.quota_ask_view import show_settled

    actual = amounts_of(amounts)
    with _client() as client:
        answer = client.confirm(hold, actual, subject=_subject(account, organisation), timeout=timeout)
    _end(answer, as_json=as_json, view=show_settled)


@told_plainly
def release(
    hold: HoldId, account: Account, organisation: Organisation = "", timeout: Timeout = None, as_json: Json = False
) -> None:
    """Give a hold back: the work is not done.

    \b
    Examples:
      taximeter quota release 0199f0c2-5a11-7c3e-8d21-0a4b9c8d7e6f --account acme
    """
    from taximeter_infra.cli.quota_ask_view import show_released

    with _client() as client:
        answer = client.release(hold, subject=_subject(account, organisation), timeout=timeout)
    _end(answer, as_json=as_json, view=show_released)


@told_plainly
def quote(
    workflow: Annotated[str, typer.Option("--workflow", metavar="ID", help="The workflow")],
    account: Account,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """What a run of a workflow is likely to use, at the median and at the 95th percentile of those that there were.

    \b
    Examples:
      taximeter quota quote --workflow digest --account acme
    """
    from taximeter_infra.cli.quota_quote_view import show_quote

    with _client() as client:
        answer = client.quote(workflow, account, timeout=timeout)
    _end(answer, as_json=as_json, view=show_quote)


def register(app: typer.Typer) -> None:
    """Put these commands on `taximeter quota`."""
    app.command(short_help="Each limit of a subject: used, held, left.")(show)
    app.command(short_help="Whether amounts could be reserved now.")(check)
    app.command(short_help="Hold amounts before work is done.")(reserve)
    app.command(short_help="Settle a hold by what was used.")(confirm)
    app.command(short_help="Give a hold back.")(release)
    app.command(short_help="What a run of a workflow is likely to use.")(quote)


@contextmanager
def _client() -> Iterator[QuotaClient]:
    from taximeter.quota import QuotaClient, QuotaSettings
    from taximeter.quota.asker import Asker
    from taximeter_infra.cli import context

    kafka = context.kafka_settings()
    client = QuotaClient(Asker(kafka, context.topic_settings()), QuotaSettings.from_environment())
    try:
        with asking_kafka(kafka):
            client.asker.open()
        yield client
    finally:
        client.close()


def _subject(
    account: str, organisation: str = "", project: str = "", user: str = "", key: str = "", run: str = ""
) -> Subject:
    from pydantic import ValidationError

    from taximeter_schemas.quota.subject import Subject

    try:
        return Subject(
            account_id=account, organisation_id=organisation, project_id=project, user_id=user, key_id=key, run_id=run
        )
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        option = f"--{str(wrong['loc'][0]).removesuffix('_id')}"
        said = "give a name" if wrong["type"] == "string_too_short" else str(wrong["msg"])
        raise typer.BadParameter(said, param_hint=option) from None


def _end(answer: Answer, *, as_json: bool, view: Callable[[Answer], None]) -> None:
    from taximeter.quota.denial import or_raise, sentence
    from taximeter_infra.cli.quota_ask_view import as_object
    from taximeter_schemas.errors import Misconfigured
    from taximeter_schemas.quota.answers import Status

    if as_json:
        typer.echo(json.dumps(as_object(answer), indent=2))
    if answer.status is Status.DENIED:
        typer.echo(f"denied: {answer.reason or sentence(answer)}", err=True)
        raise typer.Exit(ExitCode.CHECK_FAILED)
    if answer.status is Status.UNAVAILABLE:
        raise Misconfigured(
            sentence(answer), mend="bring ClickHouse back, or look at the log of `taximeter quota service`"
        )
    or_raise(answer)
    if not as_json:
        view(answer)
