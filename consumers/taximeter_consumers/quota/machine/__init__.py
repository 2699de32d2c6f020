"""Decisions: a pure function of the log of commands."""
