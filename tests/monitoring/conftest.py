"""The filled database of the reports' tests."""

from tests.queries.use import filled, filled_settings

__all__ = ["filled", "filled_settings"]
