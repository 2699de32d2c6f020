"""The process: from Kafka to decisions, answers and checkpoints."""
