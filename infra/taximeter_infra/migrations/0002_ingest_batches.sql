-- The sink's ledger: one row for every range of the log that is stored. The ranges of a partition tile it.
-- A batch that was stored twice (a crash between the insert and the commit) has one identity and so one row.
CREATE TABLE stored_ingest_batches {on_cluster}
(
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    first_offset    Int64,
    last_offset     Int64 COMMENT 'inclusive',
    batch_id        UInt64 COMMENT 'derived from the coordinates and the content',
    content_hash    String COMMENT 'BLAKE2b-128 of the messages, hexadecimal',
    records         UInt64 COMMENT 'messages of the range',
    stored          UInt64 COMMENT 'rows handed to stored_events, duplicates included',
    dead_lettered   UInt64,
    arrived_at      DateTime64(3, 'UTC') COMMENT 'when Kafka appended the first record',
    stored_at       DateTime64(6, 'UTC') COMMENT 'when the insert was acknowledged, by the clock of ClickHouse',
    sink            String COMMENT 'host and process that stored it'
)
ENGINE = {ReplacingMergeTree}(stored_at)
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (kafka_topic, kafka_partition, first_offset, last_offset, batch_id);

CREATE VIEW ingest_batches {on_cluster} AS SELECT * FROM stored_ingest_batches FINAL;
