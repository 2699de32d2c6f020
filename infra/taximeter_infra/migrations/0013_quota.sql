-- Quotas: what was used as limits count it, the limits themselves, and how they stand.
--
-- The two rollups are filled by the ticks of `taximeter aggregate` like all others. For events that are rolled up already,
-- `taximeter aggregate --rebuild` fills them, once.

-- Use by minute of everybody whom a limit can count, without the platform's own work (context system).
CREATE TABLE stored_quota_usage {on_cluster}
(
    account_id          String,
    minute              DateTime('UTC') COMMENT 'in which the use ended',
    project_id          LowCardinality(String),
    user_id             String,
    key_id              String COMMENT 'the tag key_id of the events',

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    total_tokens        Int64,
    code_us             Int64 COMMENT 'how long code nodes ran, by the clock on the wall, microseconds',
    http_requests       Int64,
    http_bytes          Int64 COMMENT 'sent and received',
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)) COMMENT 'what plugins stated, by unit: the meters plugin_units.<unit>',
    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    unpriced_calls      UInt64 COMMENT 'calls of models without a known price, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'calls of models whose use is not known, so tokens and cost_usd lack them',
    unpriced_plugins    UInt64 COMMENT 'events with a plugin unit without a price, so cost_usd lacks them',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins',

    -- Who looks for what is new reads the granules that a tick has written.
    INDEX versions version TYPE minmax GRANULARITY 1
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (account_id, minute, project_id, user_id, key_id)
SETTINGS index_granularity = 1024;

CREATE VIEW quota_usage {on_cluster} AS SELECT * EXCEPT (version) FROM stored_quota_usage FINAL WHERE events > 0;

-- What of each reservation its events show. A tick writes it last, so the use of a transaction is in quota_usage before.
CREATE TABLE stored_transaction_usage {on_cluster}
(
    account_id          String,
    transaction_id      String COMMENT 'of the hold that the events belong to; events without one are not here',
    minute              DateTime('UTC') COMMENT 'in which the use ended',

    events              UInt64,
    executions          Int64 COMMENT 'node attempts',
    input_tokens        Int64 COMMENT 'cache reads and writes included',
    output_tokens       Int64 COMMENT 'reasoning included',
    total_tokens        Int64,
    code_us             Int64 COMMENT 'how long code nodes ran, by the clock on the wall, microseconds',
    http_requests       Int64,
    http_bytes          Int64 COMMENT 'sent and received',
    plugin_invocations  Int64,
    custom_units        Map(String, Decimal(38, 9)) COMMENT 'what plugins stated, by unit: the meters plugin_units.<unit>',
    cost_usd            Decimal(38, 18) COMMENT 'what is known of the cost; see the calls and plugins that are not in it',
    unpriced_calls      UInt64 COMMENT 'calls of models without a known price, so cost_usd lacks them',
    unmeasured_calls    UInt64 COMMENT 'calls of models whose use is not known, so tokens and cost_usd lack them',
    unpriced_plugins    UInt64 COMMENT 'events with a plugin unit without a price, so cost_usd lacks them',

    version             UInt64 COMMENT 'when the row was recomputed, Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (account_id, transaction_id, minute);

CREATE VIEW transaction_usage {on_cluster} AS SELECT * EXCEPT (version) FROM stored_transaction_usage FINAL WHERE events > 0;

-- What a tick has read of transactions before it read anything else, until it is shown. One partition for each tick,
-- dropped when it is shown; what a crash leaves behind goes after a day.
CREATE TABLE stored_transactions_read {on_cluster} AS stored_transaction_usage
ENGINE = {ReplacingMergeTree}(version)
PARTITION BY version
ORDER BY (account_id, transaction_id, minute)
TTL toDateTime(intDiv(version, 1000000), 'UTC') + INTERVAL 1 DAY DELETE;

-- What runs inside a run is found by the run that it names as its parent.
ALTER TABLE stored_run_costs {on_cluster}
    ADD INDEX IF NOT EXISTS parents parent_run_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE stored_run_costs {on_cluster} MATERIALIZE INDEX parents;

-- Whoever looks every second at which ticks are recorded reads the granules of the last ones.
ALTER TABLE stored_rolled_up_batches {on_cluster} ADD INDEX IF NOT EXISTS ticks tick TYPE minmax GRANULARITY 1;
ALTER TABLE stored_rolled_up_batches {on_cluster} MATERIALIZE INDEX ticks;

-- Settings. Rows are dated and only ever appended: what holds at an instant is the last row that begins at it or before.

-- Plans: named sets of limits.
CREATE TABLE stored_quota_plans {on_cluster}
(
    plan_id     LowCardinality(String),
    valid_from  DateTime64(6, 'UTC'),
    name        String COMMENT 'for people',
    multiplier  Decimal(38, 9) COMMENT 'every limit of the plan is multiplied by it',
    added_by    String COMMENT 'shipped: came with Taximeter',
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (plan_id, valid_from);

CREATE VIEW quota_plans {on_cluster} AS SELECT * FROM stored_quota_plans FINAL;

-- The limits of plans.
CREATE TABLE stored_quota_limits {on_cluster}
(
    plan_id     LowCardinality(String),
    limit_id    String COMMENT 'names it within its plan',
    valid_from  DateTime64(6, 'UTC'),
    level       LowCardinality(String) COMMENT 'empty: counts what the plan is assigned to as a whole; account, project, user, key or run: each of these in it by itself',
    meter       LowCardinality(String) COMMENT 'total_tokens, executions, cost_usd, plugin_units.<unit>, ...',
    window      LowCardinality(String) COMMENT 'run, minute, day or month (the billing period of the account)',
    amount      Nullable(Decimal(38, 18)) COMMENT 'before the multiplier; null or 0: no limit. Microseconds, bytes, US dollars or a count',
    hard        Bool COMMENT 'whether it stops work; a soft one only warns',
    action      LowCardinality(String) COMMENT 'of a hard limit: block or degrade',
    degrade_to  String COMMENT 'the model or mode to take instead',
    on_outage   LowCardinality(String) COMMENT 'what gates answer when the quota service is away: closed or open',
    thresholds  Array(Decimal(9, 2)) COMMENT 'percent of the limit at which an alert is raised',
    added_by    String COMMENT 'shipped: came with Taximeter',
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (plan_id, limit_id, valid_from);

CREATE VIEW quota_limits {on_cluster} AS SELECT * FROM stored_quota_limits FINAL;

-- Who has which plan. An account without a row has the plan of its billing terms, if a quota plan has that name.
CREATE TABLE stored_quota_assignments {on_cluster}
(
    level       LowCardinality(String) COMMENT 'organisation, account, project, user or key',
    account_id  String COMMENT 'empty for an organisation',
    name        String COMMENT 'of the organisation, project, user or key; empty for an account',
    valid_from  DateTime64(6, 'UTC'),
    plan_id     LowCardinality(String) COMMENT 'empty: none from then on',
    added_by    String,
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (level, account_id, name, valid_from);

CREATE VIEW quota_assignments {on_cluster} AS SELECT * FROM stored_quota_assignments FINAL;

-- What was bought beside a plan: it raises the limits by month of one meter at one level.
CREATE TABLE stored_quota_add_ons {on_cluster}
(
    add_on_id   String,
    level       LowCardinality(String) COMMENT 'organisation, account, project, user or key',
    account_id  String COMMENT 'empty for an organisation',
    name        String COMMENT 'of the organisation, project, user or key; empty for an account',
    meter       LowCardinality(String),
    amount      Decimal(38, 18) COMMENT 'not multiplied by the multiplier of a plan',
    starts_at   DateTime64(6, 'UTC') COMMENT 'counts from this instant on',
    ends_at     Nullable(DateTime64(6, 'UTC')) COMMENT 'and before this one; null: until further notice, every month anew',
    reason      String,
    added_by    String,
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY add_on_id;

CREATE VIEW quota_add_ons {on_cluster} AS SELECT * FROM stored_quota_add_ons FINAL;

-- Which organisation an account belongs to. Its use counts for the organisation while it does.
CREATE TABLE stored_quota_organisations {on_cluster}
(
    account_id       String,
    valid_from       DateTime64(6, 'UTC'),
    organisation_id  String COMMENT 'empty: none from then on',
    added_by         String,
    added_at         DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (account_id, valid_from);

CREATE VIEW quota_organisations {on_cluster} AS SELECT * FROM stored_quota_organisations FINAL;

-- How limits stand, written by the quota service a little after they change. One row for each window of each limit;
-- rows of minutes and runs are kept for some days.
CREATE TABLE stored_quota_state {on_cluster}
(
    root          String COMMENT 'what is decided together: organisation/<name> or account/<name>',
    level         String COMMENT 'what the limit counts, like user/acme/ada; names are percent-encoded',
    kind          LowCardinality(String) COMMENT 'organisation, account, project, user, key or run',
    account_id    String COMMENT 'empty for an organisation',
    name          String COMMENT 'of the organisation, project, user, key or run; empty for an account',
    plan_id       LowCardinality(String),
    limit_id      String,
    meter         LowCardinality(String),
    window        LowCardinality(String) COMMENT 'run, minute, day or month',
    starts_at     DateTime64(6, 'UTC') COMMENT 'when the window began; 1970 for a run',
    resets_at     Nullable(DateTime64(6, 'UTC')) COMMENT 'when it ends; null for a run',
    hard          Bool,
    action        LowCardinality(String),
    used          Decimal(76, 18) COMMENT 'by events, and by settled holds whose events are not here yet',
    held          Decimal(76, 18) COMMENT 'reserved and not yet settled',
    leased        Decimal(76, 18) COMMENT 'of held: by gates in executors',
    limit_amount  Decimal(76, 18) COMMENT 'of the plan, multiplied, without add-ons',
    added         Decimal(76, 18) COMMENT 'by add-ons',
    remaining     Decimal(76, 18) COMMENT 'of limit_amount + added, after used and held; never below zero',
    lacking       UInt64 COMMENT 'calls and plugin uses without a known price or extent, which used lacks',
    as_of         DateTime64(6, 'UTC'),
    version       UInt64 COMMENT 'as_of in Unix microseconds; the greatest wins'
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (account_id, level, limit_id, starts_at)
TTL toDateTime(as_of, 'UTC') + INTERVAL 3 DAY DELETE WHERE window = 'minute',
    toDateTime(as_of, 'UTC') + INTERVAL 30 DAY DELETE WHERE window = 'run';

CREATE VIEW quota_state {on_cluster} AS
SELECT
    * EXCEPT (version),
    toDecimal256(intDiv(used * 10000, limit_amount + added), 2) / 100 AS percent,
    isNull(resets_at) OR resets_at > now64(6) AS is_current
FROM stored_quota_state FINAL;
