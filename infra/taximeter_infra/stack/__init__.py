"""The local stack: a real broker and a real ClickHouse on one machine, without Docker, on loopback only."""
