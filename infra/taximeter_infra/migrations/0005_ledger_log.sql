-- Offsets mean something within one log only: a topic that is deleted and created anew under its name begins again.
ALTER TABLE stored_ingest_batches {on_cluster}
    ADD COLUMN IF NOT EXISTS kafka_log LowCardinality(String) DEFAULT ''
        COMMENT 'the identity that Kafka gave the topic when it was created; empty where the broker gives none'
        AFTER kafka_topic,
    MODIFY COLUMN content_hash String
        COMMENT 'SHA-256 of the messages cut to 128 bits, hexadecimal';

CREATE OR REPLACE VIEW ingest_batches {on_cluster} AS SELECT * FROM stored_ingest_batches FINAL;
