"""Simulated executors: seeded events of realistic shape, an independent count of them, and their way into Kafka."""
