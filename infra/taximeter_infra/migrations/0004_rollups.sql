-- The rollups. Each row is recomputed as a whole from deduplicated events and written again with a newer version, never
-- incremented. Read them through the views without `stored_`, which show the newest version of each row.
--
-- All four have the same measures. A sum of cost is never the whole story: `unpriced_calls` and `unmeasured_calls` say
-- how many calls it lacks, `estimated_calls` how many it only guesses.

-- Cost and use of every run.
CREATE TABLE stored_run_costs {on_cluster}
(
    account_id          String,
    run_id              String,

    user_id             String,
    project_id          LowCardinality(String),
    workflow_id         LowCardinality(String),
    parent_run_id       String,
    context             LowCardinality(String),
    started_at          DateTime64(6, 'UTC') COMMENT 'when its first use began',
    ended_at            DateTime64(6, 'UTC') COMMENT 'when its last use ended',
    first_id_time       DateTime64(3, 'UTC') COMMENT 'where in stored_events its rows begin',
    last_id_time        DateTime64(3, 'UTC') COMMENT 'and where they end',

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    successes           Int64,
    errors              Int64,
    timeouts            Int64,
    cancellations       Int64,
    memory_breaches     Int64,
    timeout_breaches    Int64,
    duration_us         Int64,
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    cache_read_tokens   Int64,
    cache_write_tokens  Int64,
    reasoning_tokens    Int64,
    total_tokens        Int64,
    audio_ms            Int64,
    characters          Int64,
    images              Int64,
    http_requests       Int64,
    http_bytes_out      Int64,
    http_bytes_in       Int64,
    http_errors         Int64,
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)),
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls that are not in it',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (account_id, run_id);

CREATE VIEW run_costs {on_cluster} AS SELECT * EXCEPT (version) FROM stored_run_costs FINAL WHERE events > 0;

-- Cost and use of every node of every run, over all its attempts.
CREATE TABLE stored_node_costs {on_cluster}
(
    account_id          String,
    run_id              String,
    node_id             String,

    node_type           LowCardinality(String),
    workflow_id         LowCardinality(String),
    user_id             String,
    started_at          DateTime64(6, 'UTC'),
    ended_at            DateTime64(6, 'UTC'),
    attempts            Int32 COMMENT 'the highest attempt seen',

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    successes           Int64,
    errors              Int64,
    timeouts            Int64,
    cancellations       Int64,
    memory_breaches     Int64,
    timeout_breaches    Int64,
    duration_us         Int64,
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    cache_read_tokens   Int64,
    cache_write_tokens  Int64,
    reasoning_tokens    Int64,
    total_tokens        Int64,
    audio_ms            Int64,
    characters          Int64,
    images              Int64,
    http_requests       Int64,
    http_bytes_out      Int64,
    http_bytes_in       Int64,
    http_errors         Int64,
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)),
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls that are not in it',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (account_id, run_id, node_id);

CREATE VIEW node_costs {on_cluster} AS SELECT * EXCEPT (version) FROM stored_node_costs FINAL WHERE events > 0;

-- Cost and use of every model by hour.
CREATE TABLE stored_model_costs {on_cluster}
(
    account_id          String,
    hour                DateTime('UTC'),
    provider            LowCardinality(String),
    model               LowCardinality(String),
    usage_type          LowCardinality(String),

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    successes           Int64,
    errors              Int64,
    timeouts            Int64,
    cancellations       Int64,
    memory_breaches     Int64,
    timeout_breaches    Int64,
    duration_us         Int64,
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    cache_read_tokens   Int64,
    cache_write_tokens  Int64,
    reasoning_tokens    Int64,
    total_tokens        Int64,
    audio_ms            Int64,
    characters          Int64,
    images              Int64,
    http_requests       Int64,
    http_bytes_out      Int64,
    http_bytes_in       Int64,
    http_errors         Int64,
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)),
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls that are not in it',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (account_id, hour, provider, model, usage_type);

CREATE VIEW model_costs {on_cluster} AS SELECT * EXCEPT (version) FROM stored_model_costs FINAL WHERE events > 0;

-- Use of every user in every project by minute: what quotas and billing periods are summed from.
CREATE TABLE stored_usage_by_subject {on_cluster}
(
    account_id          String,
    minute              DateTime('UTC'),
    user_id             String,
    project_id          LowCardinality(String),

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    successes           Int64,
    errors              Int64,
    timeouts            Int64,
    cancellations       Int64,
    memory_breaches     Int64,
    timeout_breaches    Int64,
    duration_us         Int64,
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    cache_read_tokens   Int64,
    cache_write_tokens  Int64,
    reasoning_tokens    Int64,
    total_tokens        Int64,
    audio_ms            Int64,
    characters          Int64,
    images              Int64,
    http_requests       Int64,
    http_bytes_out      Int64,
    http_bytes_in       Int64,
    http_errors         Int64,
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)),
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls that are not in it',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (account_id, minute, user_id, project_id);

CREATE VIEW usage_by_subject {on_cluster} AS SELECT * EXCEPT (version) FROM stored_usage_by_subject FINAL WHERE events > 0;

-- Which ingest batches a tick has worked in. A batch that is not here yet is what the next tick starts from.
CREATE TABLE stored_rolled_up_batches {on_cluster}
(
    batch_id   UInt64,
    stored_at  DateTime64(6, 'UTC') COMMENT 'as in ingest_batches',
    tick       UInt64 COMMENT 'the version that its rollups were written with'
)
ENGINE = {ReplacingMergeTree}(tick)
PARTITION BY toYYYYMM(stored_at)
ORDER BY (batch_id);
