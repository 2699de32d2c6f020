"""Crossings of thresholds, told outside: lines and webhooks."""
