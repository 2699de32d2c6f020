-- What was decided about dead letters: sent back to the events, or dropped. The letters themselves are in Kafka, until
-- retention deletes them. A row says who did it, when and why, and is never replaced by a later one; of the rows of a
-- letter the last one says how it stands. Nothing of a payload is here.
CREATE TABLE stored_dead_letter_actions {on_cluster}
(
    letter_id             String COMMENT 'BLAKE2b-128 of the coordinates, key and value of the record, hexadecimal: copies of a letter share it',
    order_id              UUID COMMENT 'the command that did it; a UUIDv7',
    action                LowCardinality(String) COMMENT 'redriven or dropped',
    acted_at              DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'redriven: after the broker had all of them',
    acted_by              String,
    why                   String,
    reason                LowCardinality(String) COMMENT 'why it was a dead letter',
    dead_letter_topic     LowCardinality(String),
    dead_letter_partition Int32,
    dead_letter_offset    Int64,
    source_topic          LowCardinality(String) COMMENT 'where the record lay; empty: the letter does not say',
    source_partition      Int32 COMMENT '-1: the letter does not say',
    source_offset         Int64 COMMENT '-1: the letter does not say',
    target_topic          LowCardinality(String) COMMENT 'where it was sent; empty: it was dropped',
    edited                Bool COMMENT 'it was sent with another content than it had'
)
ENGINE = {ReplacingMergeTree}(acted_at)
ORDER BY (letter_id, order_id);

CREATE VIEW dead_letter_actions {on_cluster} AS SELECT * FROM stored_dead_letter_actions FINAL;
