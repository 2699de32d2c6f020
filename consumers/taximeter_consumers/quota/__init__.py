"""Quotas: what may be used, what is held, and who decides it."""
