"""Archives: messages of a topic in files, as they were, for replays past Kafka's retention."""
