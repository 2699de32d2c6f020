"""`python -m bench.sdk`: a metered node on the caller's thread, and the encoder, against what one would use instead."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from bench.command import Stage, carry_out, rounds_of
from bench.harness import Report
from bench.sdk.nodes import Broker
from bench.sdk.rounds import QUICK, Wish, measure_encoding, measure_nodes, ratios, samples
from bench.sink import registry
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import KafkaSettings, TopicSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    wish = wish_of(options)

    def measure(stage: Stage) -> Report:
        kafka, topics = KafkaSettings(bootstrap_servers=stage.addresses.bootstrap_servers), TopicSettings()
        ensure_topics(kafka, topics)
        with registry.serve() as url:
            found = measure_nodes(Broker(kafka.bootstrap_servers, topics.events, url), wish, stage.say)
        found |= measure_encoding(wish, stage.say)
        used = {**stage.versions, "opentelemetry-sdk": version("opentelemetry-sdk")}
        return Report("sdk", stage.host, used, command(options), samples(found), ratios(found))

    return carry_out(measure, as_json=options.json)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    return rounds_of("sdk", "Measure the SDK on a stack of its own.", argv)


def wish_of(options: argparse.Namespace) -> Wish:
    """What the options ask for."""
    base = QUICK if options.quick else Wish()
    return replace(base, rounds=options.rounds or base.rounds)


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again."""
    return f"python -m bench.sdk --rounds {wish_of(options).rounds}{' --quick' if options.quick else ''}"


if __name__ == "__main__":
    sys.exit(main())
