"""Rollups: five tables recomputed, never incremented, from deduplicated events. `docs/rollups.md` tells how."""

from taximeter_consumers.rollups.follow import follow
from taximeter_consumers.rollups.lag import rollup_lag_seconds
from taximeter_consumers.rollups.tick import Bounds, Rebuilt, Tick, rebuild, tick

__all__ = ["Bounds", "Rebuilt", "Tick", "follow", "rebuild", "rollup_lag_seconds", "tick"]
