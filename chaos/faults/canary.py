"""A canary: secrets put where secrets live, and into texts that the SDK redacts, must be seen nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final
from urllib.parse import urlsplit

from chaos import spills
from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.process import Process
from chaos.registry import switched_registry
from chaos.streams import entry_of, made_events
from chaos.world import World
from taximeter.redact import redact, redact_pair
from taximeter_schemas import avro_files
from taximeter_schemas.errors import Retryable

# In every secret of every run; and in a text that is none, to see that the search sees.
_MARK: Final = "c4n4ryS0ng"
_PLAIN: Final = "no-secret-at-all"
_NOT_YET: Final = "not stored yet"


def token(seed: int, place: str) -> str:
    """Something that looks like an API key."""
    drawn = Random(f"{seed}/{place}").randbytes(12).hex()
    return f"sk-proj-{drawn}{_MARK}{place}{drawn}"


def texts(secret: str) -> tuple[str, ...]:
    """Messages as executors get them from what they call."""
    return (
        f"401 Unauthorized: Incorrect API key provided: {secret}.",
        f"GET https://user:{secret}@api.example.com/v1 failed",
        f"request failed, headers were {{'Authorization': 'Bearer {secret}', 'x-api-key': '{secret}'}}",
        f"https://api.example.com/v1/run?api_key={secret}&user=7 timed out",
        f'config: {{"password": "{secret}"}}',
    )


def sung(seed: int, count: int) -> Iterator[Entry]:
    """Events whose debug texts had a secret in them before the SDK's redaction."""
    rng = Random(f"canary/{seed}")
    secret = token(seed, "sdk")
    for number, event in enumerate(made_events(seed, count)):
        if rng.random() < 0.2:
            told = {
                "error_message": redact(rng.choice(texts(secret)))[:500],
                "description": _PLAIN,
                "provider_metadata": dict([redact_pair("authorization", f"Bearer {secret}"), redact_pair("id", "7")]),
            }
            event = event.model_copy(update=told)
        yield entry_of(number, event)


def canary(world: World, _: Random) -> None:
    """Everything runs with secrets in its environment, some of them wrong, and what comes of it is searched."""
    began, lines = datetime.now(UTC), spills.CommandLines()
    seed = world.input.seed
    world.forked = False
    for executor in world.running("executor"):
        executor.kill()
    registry = world.held.enter_context(switched_registry())
    current = avro_files.CURRENT_VERSION
    registry.schemas[current], registry.fails_with = avro_files.text_of(current), 401
    registry.open()
    world.environment |= {
        "KAFKA_SASL_USERNAME": "canary",
        "KAFKA_SASL_PASSWORD": token(seed, "kafka"),
        "SCHEMA_REGISTRY_URL": registry.url,
        "SCHEMA_REGISTRY_BASIC_AUTH": f"canary:{token(seed, 'registry')}",
    }
    world.start_executor()
    sink = world.start_sink()
    world.await_condition(lambda: lines.look() and sink.says(_NOT_YET), "the sink to be refused by the registry")
    registry.fails_with = None
    _fail_with_wrong_ones(world, lines)
    world.injected.append("secrets in the environment and in texts")
    world.enough.touch()
    world.await_condition(lambda: lines.look() and world.quiet(), "everything to be stored")
    commands = [world.start_aggregator("--json"), world.start_command("audit", "--ingest")]
    world.await_condition(
        lambda: lines.look() and not any(command.running for command in commands), "the commands to end"
    )
    _search(world, lines, began)


def _fail_with_wrong_ones(world: World, lines: spills.CommandLines) -> None:
    """Wrong secrets, so that errors are told about them."""
    right, server = dict(world.environment), urlsplit(world.addresses.clickhouse_url.get_secret_value())
    wrong = token(world.input.seed, "clickhouse")
    # Never let in, and never told why: it goes on trying.
    world.environment |= {"KAFKA_SECURITY_PROTOCOL": "sasl_plaintext", "KAFKA_SASL_MECHANISM": "PLAIN"}
    world.start_sink(instance=None)
    world.environment.clear()
    world.environment |= {**right, "CLICKHOUSE_URL": f"http://canary:{wrong}@{server.hostname}:{server.port}"}
    refused = [
        world.start_sink("--until-caught-up", instance=None),
        world.start_aggregator("--json"),
        world.start_command("audit", "--ingest"),
    ]
    for process in refused:
        # They are to fail.
        world.processes.remove(process)
    for process in refused:
        _await_failure(world, process, lines)
    world.environment.clear()
    world.environment |= right


def _await_failure(world: World, process: Process, lines: spills.CommandLines) -> None:
    world.await_condition(lambda: lines.look() and not process.running, f"{process.name} to be refused")
    if process.child.exit_code == 0 or "mend:" not in process.log():
        raise Retryable(f"{process.name} did not say what to do about a wrong secret:\n{process.child.tail()}")


def _search(world: World, lines: spills.CommandLines, began: datetime) -> None:
    password = urlsplit(world.addresses.clickhouse_url.get_secret_value()).password or _MARK
    marks = [_MARK.encode(), password.encode()]
    places = {
        "logs": list(spills.logs(world)),
        "topics": list(spills.topics(world)),
        "tables": list(spills.tables(world, began)),
        "command lines": list(spills.command_lines(lines)),
    }
    found = [place for kind in places.values() for place in spills.spilled(iter(kind), marks)]
    if found:
        raise Retryable(f"a secret is in {', '.join(found)}")
    controls = {"logs": b"batch stored", "topics": _PLAIN.encode(), "tables": _PLAIN.encode()}
    controls["command lines"] = world.name.encode()
    for kind, control in controls.items():
        if not spills.spilled(iter(places[kind]), [control]):
            raise Retryable(f"the search does not see what is in the {kind}")


FAULTS = (
    Fault(
        "secrets_canary",
        "secrets in the environment and in redacted texts; none may be in a log, topic, table or command line",
        canary,
        stream="chaos.faults.canary:sung",
        events=600,
        tested=False,
        aggregates_along=False,
    ),
)
