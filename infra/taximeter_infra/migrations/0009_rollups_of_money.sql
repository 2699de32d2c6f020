-- The rollups, made anew with what money needs. The next ticks fill them from the stored events.
--
-- Each row is recomputed as a whole from deduplicated events and written again with a newer version, never incremented.
-- Read them through the views without `stored_`, which show the newest version of each row. A sum of cost is never the
-- whole story: `cost_source` and the counts beside it say what it lacks and how much of it is a guess.
DROP VIEW IF EXISTS run_costs {on_cluster};
DROP VIEW IF EXISTS node_costs {on_cluster};
DROP VIEW IF EXISTS model_costs {on_cluster};
DROP VIEW IF EXISTS usage_by_subject {on_cluster};
DROP TABLE IF EXISTS stored_run_costs {on_cluster} SYNC;
DROP TABLE IF EXISTS stored_node_costs {on_cluster} SYNC;
DROP TABLE IF EXISTS stored_model_costs {on_cluster} SYNC;
DROP TABLE IF EXISTS stored_usage_by_subject {on_cluster} SYNC;
TRUNCATE TABLE IF EXISTS stored_rolled_up_batches {on_cluster} SYNC;

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
    ai_units            Map(String, Int64) COMMENT 'further counts of calls: audio tokens, web searches, ...',
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    model_cost_usd      Decimal(38, 18) COMMENT 'of cost_usd: calls of models',
    plugin_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: units of plugins',
    resource_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: CPU time, HTTP and node executions, where they have a price',
    adjusted_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: by re-rating, after the first price',
    reported_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: stated by the provider',
    estimated_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: of uses that were estimated or seen in part',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',
    plugin_uses         UInt64 COMMENT 'events with units of a plugin',
    unpriced_plugins    UInt64 COMMENT 'of plugin_uses: a unit without a price, so cost_usd lacks them',
    useful_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: attempts that succeeded and were the last of their node',
    retried_cost_usd    Decimal(38, 18) COMMENT 'of cost_usd: attempts that another attempt followed',
    failed_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: last attempts that failed or timed out',
    cancelled_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: attempts that were cancelled',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (account_id, run_id);

CREATE VIEW run_costs {on_cluster} AS
SELECT
    * EXCEPT (version),
    multiIf(
        reported_calls + priced_calls + unpriced_calls + unmeasured_calls + plugin_uses = 0, if(cost_usd = 0, 'none', 'priced'),
        unpriced_calls + unmeasured_calls + unpriced_plugins = ai_calls + plugin_uses AND cost_usd = 0, 'unpriced',
        unpriced_calls + unmeasured_calls + unpriced_plugins > 0, 'mixed',
        reported_calls = 0, 'priced',
        priced_calls + plugin_uses = 0 AND resource_cost_usd = 0, 'reported',
        'mixed') AS cost_source,
    retried_cost_usd + failed_cost_usd + cancelled_cost_usd AS wasted_cost_usd
FROM stored_run_costs FINAL
WHERE events > 0;

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
    ai_units            Map(String, Int64) COMMENT 'further counts of calls: audio tokens, web searches, ...',
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    model_cost_usd      Decimal(38, 18) COMMENT 'of cost_usd: calls of models',
    plugin_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: units of plugins',
    resource_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: CPU time, HTTP and node executions, where they have a price',
    adjusted_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: by re-rating, after the first price',
    reported_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: stated by the provider',
    estimated_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: of uses that were estimated or seen in part',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',
    plugin_uses         UInt64 COMMENT 'events with units of a plugin',
    unpriced_plugins    UInt64 COMMENT 'of plugin_uses: a unit without a price, so cost_usd lacks them',
    useful_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: attempts that succeeded and were the last of their node',
    retried_cost_usd    Decimal(38, 18) COMMENT 'of cost_usd: attempts that another attempt followed',
    failed_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: last attempts that failed or timed out',
    cancelled_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: attempts that were cancelled',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (account_id, run_id, node_id);

CREATE VIEW node_costs {on_cluster} AS
SELECT
    * EXCEPT (version),
    multiIf(
        reported_calls + priced_calls + unpriced_calls + unmeasured_calls + plugin_uses = 0, if(cost_usd = 0, 'none', 'priced'),
        unpriced_calls + unmeasured_calls + unpriced_plugins = ai_calls + plugin_uses AND cost_usd = 0, 'unpriced',
        unpriced_calls + unmeasured_calls + unpriced_plugins > 0, 'mixed',
        reported_calls = 0, 'priced',
        priced_calls + plugin_uses = 0 AND resource_cost_usd = 0, 'reported',
        'mixed') AS cost_source,
    retried_cost_usd + failed_cost_usd + cancelled_cost_usd AS wasted_cost_usd
FROM stored_node_costs FINAL
WHERE events > 0;

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
    ai_units            Map(String, Int64) COMMENT 'further counts of calls: audio tokens, web searches, ...',
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    model_cost_usd      Decimal(38, 18) COMMENT 'of cost_usd: calls of models',
    plugin_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: units of plugins',
    resource_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: CPU time, HTTP and node executions, where they have a price',
    adjusted_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: by re-rating, after the first price',
    reported_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: stated by the provider',
    estimated_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: of uses that were estimated or seen in part',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',
    plugin_uses         UInt64 COMMENT 'events with units of a plugin',
    unpriced_plugins    UInt64 COMMENT 'of plugin_uses: a unit without a price, so cost_usd lacks them',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (account_id, hour, provider, model, usage_type);

CREATE VIEW model_costs {on_cluster} AS
SELECT
    * EXCEPT (version),
    multiIf(
        reported_calls + priced_calls + unpriced_calls + unmeasured_calls + plugin_uses = 0, if(cost_usd = 0, 'none', 'priced'),
        unpriced_calls + unmeasured_calls + unpriced_plugins = ai_calls + plugin_uses AND cost_usd = 0, 'unpriced',
        unpriced_calls + unmeasured_calls + unpriced_plugins > 0, 'mixed',
        reported_calls = 0, 'priced',
        priced_calls + plugin_uses = 0 AND resource_cost_usd = 0, 'reported',
        'mixed') AS cost_source
FROM stored_model_costs FINAL
WHERE events > 0;

-- Use and cost by minute: what quotas, days, billing periods, contexts and qualities are summed from.
CREATE TABLE stored_usage_by_subject {on_cluster}
(
    account_id          String,
    minute              DateTime('UTC'),
    user_id             String,
    project_id          LowCardinality(String),
    workflow_id         LowCardinality(String),
    context             LowCardinality(String),
    quality             LowCardinality(String) COMMENT 'of the calls: reported, measured, estimated, partial, missing; empty where no model was used',

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
    ai_units            Map(String, Int64) COMMENT 'further counts of calls: audio tokens, web searches, ...',
    cpu_us              Int64,
    max_rss_bytes       Int64 COMMENT 'the highest peak',

    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    model_cost_usd      Decimal(38, 18) COMMENT 'of cost_usd: calls of models',
    plugin_cost_usd     Decimal(38, 18) COMMENT 'of cost_usd: units of plugins',
    resource_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: CPU time, HTTP and node executions, where they have a price',
    adjusted_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: by re-rating, after the first price',
    reported_cost_usd   Decimal(38, 18) COMMENT 'of cost_usd: stated by the provider',
    estimated_cost_usd  Decimal(38, 18) COMMENT 'of cost_usd: of uses that were estimated or seen in part',
    ai_calls            UInt64 COMMENT 'events that used a model',
    reported_calls      UInt64 COMMENT 'of ai_calls: the provider stated the cost',
    priced_calls        UInt64 COMMENT 'of ai_calls: the price book gave the cost',
    unpriced_calls      UInt64 COMMENT 'of ai_calls: no price is known, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'of ai_calls: the use is not known, so cost_usd lacks them',
    estimated_calls     UInt64 COMMENT 'of the calls with a cost: the use was estimated or seen in part',
    plugin_uses         UInt64 COMMENT 'events with units of a plugin',
    unpriced_plugins    UInt64 COMMENT 'of plugin_uses: a unit without a price, so cost_usd lacks them',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (account_id, minute, user_id, project_id, workflow_id, context, quality);

CREATE VIEW usage_by_subject {on_cluster} AS
SELECT
    * EXCEPT (version),
    multiIf(
        reported_calls + priced_calls + unpriced_calls + unmeasured_calls + plugin_uses = 0, if(cost_usd = 0, 'none', 'priced'),
        unpriced_calls + unmeasured_calls + unpriced_plugins = ai_calls + plugin_uses AND cost_usd = 0, 'unpriced',
        unpriced_calls + unmeasured_calls + unpriced_plugins > 0, 'mixed',
        reported_calls = 0, 'priced',
        priced_calls + plugin_uses = 0 AND resource_cost_usd = 0, 'reported',
        'mixed') AS cost_source
FROM stored_usage_by_subject FINAL
WHERE events > 0;

-- What was charged, unit by unit: every cost as quantity times price. What invoices are made of.
CREATE TABLE stored_charges {on_cluster}
(
    account_id          String,
    quarter             DateTime('UTC') COMMENT 'the quarter of an hour; billing periods of every time zone begin with one',
    context             LowCardinality(String),
    workflow_id         LowCardinality(String),
    provider            LowCardinality(String) COMMENT 'as in the events; plugin or resource for what is no model',
    model               String COMMENT 'as in the events; the plugin for plugins',
    unit                LowCardinality(String) COMMENT 'the unit that was priced; calls where the charge is for a call as a whole',
    service_tier        LowCardinality(String),
    source              LowCardinality(String) COMMENT 'reported, priced, unpriced, unmeasured or adjusted',
    usd_per_unit        Decimal(38, 18) COMMENT '0 where the source is not priced',

    events              UInt64,
    quantity            Decimal(38, 9),
    cost_usd            Decimal(38, 18),

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(quarter)
ORDER BY (account_id, quarter, context, workflow_id, provider, model, unit, service_tier, source, usd_per_unit);

CREATE VIEW charges {on_cluster} AS SELECT * EXCEPT (version) FROM stored_charges FINAL WHERE events > 0;
