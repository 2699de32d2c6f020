-- Every event as it arrived, one row each. Read it through the view `events`, which collapses duplicates.
--
-- Identity is (account_id, event_id). The partition and the order come from the id's own clock, never from the
-- payload, so copies of an event always meet and collapse, whatever their other fields say and however late they come.
-- `version` falls as arrival goes on: the first arrival wins, and what was billed does not change.
CREATE TABLE stored_events {on_cluster}
(
    account_id          String COMMENT 'who is billed',
    user_id             String,
    project_id          LowCardinality(String),
    workflow_id         LowCardinality(String),
    run_id              String,
    parent_run_id       String,
    thread_id           String,
    transaction_id      String COMMENT 'the confirmed reservation that pays for this',
    context             LowCardinality(String) COMMENT 'customer or system',
    tags                Map(LowCardinality(String), String),
    event_id            UUID COMMENT 'UUIDv7, the idempotency key',
    id_time             DateTime64(3, 'UTC') COMMENT 'the clock inside event_id',
    occurred_at         DateTime64(6, 'UTC') COMMENT 'when the use ended; prices are those of this instant',
    kind                LowCardinality(String) COMMENT 'node, usage or adjustment',
    node_id             String,
    node_type           LowCardinality(String),
    attempt             Int32,
    agent_name          LowCardinality(String),
    outcome             LowCardinality(String) COMMENT 'success, error, timeout or cancelled',
    memory_breaches     Int32,
    timeout_breaches    Int32,
    breach_reason       String,
    executions          Int64 COMMENT '1 on exactly one event of a node attempt',
    duration_us         Int64,

    provider            LowCardinality(String),
    model               LowCardinality(String),
    usage_type          LowCardinality(String) COMMENT 'text, embedding, audio_stt, audio_tts or image; empty where no model was used',
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    cache_read_tokens   Int64,
    cache_write_tokens  Int64,
    reasoning_tokens    Int64,
    total_tokens        Int64,
    audio_ms            Int64,
    characters          Int64,
    images              Int64,
    response_id         String,
    reported_cost       Nullable(Decimal(38, 12)) COMMENT 'US dollars, where the provider stated them',
    quality             LowCardinality(String) COMMENT 'reported, measured, estimated, partial or missing; empty where no model was used',

    http_requests       Int64,
    http_bytes_out      Int64,
    http_bytes_in       Int64,
    http_errors         Int64,

    plugin_id           LowCardinality(String),
    plugin_invocations  Int64,
    custom_units        Map(LowCardinality(String), Decimal(38, 9)),

    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'a peak: take its max, never its sum',

    error_message       String,
    provider_metadata   Map(LowCardinality(String), String),
    description         String,

    kafka_topic         LowCardinality(String),
    kafka_partition     Int32,
    kafka_offset        Int64,
    schema_id           Int32 COMMENT 'the schema that the event was written with',
    batch_id            UInt64 COMMENT 'the row of ingest_batches that brought it',
    arrived_at          DateTime64(3, 'UTC') COMMENT 'when Kafka appended the first record of its batch',
    version             UInt64 COMMENT 'the greatest wins, and it falls with arrival',

    -- A run's events lie close together in id time, so a few granules hold them; this finds which.
    INDEX run_ids run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX occurred occurred_at TYPE minmax GRANULARITY 1,
    INDEX arrived arrived_at TYPE minmax GRANULARITY 1
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(id_time)
ORDER BY (account_id, id_time, event_id)
SETTINGS index_granularity = 1024, {deduplication_window} = 10000;

-- Events as they count: each exactly once.
CREATE VIEW events {on_cluster} AS SELECT * EXCEPT (version) FROM stored_events FINAL;

-- Where the sink tries records that the engine refused, to find the bad ones; it keeps nothing.
CREATE TABLE trial_events {on_cluster} AS stored_events ENGINE = Null;
