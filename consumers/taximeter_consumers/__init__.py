"""What happens after Kafka: the sink, the rollups, the prices, the queries and the replay."""
