"""The quotas' benchmark: a check in-process, a reservation through Kafka, and what many at once can overdraw."""
