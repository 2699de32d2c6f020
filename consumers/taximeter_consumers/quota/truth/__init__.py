"""What ClickHouse knows of use, and how quotas stand there for analysts."""
