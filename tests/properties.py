"""How properties are tried on real servers: few examples, the same each time, without shrinking."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def on_servers(examples: int) -> settings:
    """The settings for so many examples; a decorator."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
