"""Quotas under fire: callers with journals, the log of commands counted by other means, and what must hold of both."""
