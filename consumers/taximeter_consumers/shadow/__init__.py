"""Shadows: events and rollups built again beside the live ones, compared with them, and exchanged for them."""
