"""Runnable examples of Taximeter at work."""
