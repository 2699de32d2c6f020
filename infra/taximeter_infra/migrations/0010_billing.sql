-- Billing. Settings are dated rows that are only ever appended: what held when a billing period began counts for that period.
-- Invoices, their numbers and their statuses are claimed: of several inserts with one token the engine keeps the first only.
-- Where it should ever keep two, `version`, which falls as time goes on, lets the first claim count all the same.

-- How an account is billed. Without a row: UTC months, no plan, a grace of 24 hours.
CREATE TABLE stored_billing_accounts {on_cluster}
(
    account_id   String,
    valid_from   DateTime64(6, 'UTC') COMMENT 'counts for billing periods that begin at this instant or later',
    plan_id      LowCardinality(String) COMMENT 'empty: none',
    anchor_day   UInt8 COMMENT '1 to 28: the day of the month on which a period begins',
    time_zone    LowCardinality(String) COMMENT 'IANA name; a period begins at midnight there',
    grace_hours  UInt32 COMMENT 'how long after its end a period is closed; events that come later are on the next invoice',
    name         String COMMENT 'as on the invoice',
    address      String COMMENT 'as on the invoice, lines separated by line feeds',
    currency     LowCardinality(String) COMMENT 'USD',
    added_at     DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (account_id, valid_from);

CREATE VIEW billing_accounts {on_cluster} AS SELECT * FROM stored_billing_accounts FINAL;

-- What accounts may subscribe to.
CREATE TABLE stored_plans {on_cluster}
(
    plan_id       LowCardinality(String),
    valid_from    DateTime64(6, 'UTC') COMMENT 'counts for billing periods that begin at this instant or later',
    name          String COMMENT 'as on the invoice',
    fee_usd       Decimal(38, 18) COMMENT 'per billing period',
    included_usd  Decimal(38, 18) COMMENT 'allowance: usage of a period up to this is paid by the fee',
    added_at      DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (plan_id, valid_from);

CREATE VIEW plans {on_cluster} AS SELECT * FROM stored_plans FINAL;

-- What an account pays for beside its plan. To end one is to append its row again with an end.
CREATE TABLE stored_add_ons {on_cluster}
(
    account_id  String,
    name        String COMMENT 'as on the invoice',
    starts_at   DateTime64(6, 'UTC') COMMENT 'billed for periods that begin at this instant or later',
    ends_at     Nullable(DateTime64(6, 'UTC')) COMMENT 'and before this one; null: until further notice',
    fee_usd     Decimal(38, 18) COMMENT 'per billing period',
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (account_id, name, starts_at);

CREATE VIEW add_ons {on_cluster} AS SELECT * FROM stored_add_ons FINAL;

-- What an account has to its good. What is used of a credit stands on the invoices that use it.
CREATE TABLE stored_credits {on_cluster}
(
    credit_id   String,
    account_id  String,
    amount_usd  Decimal(38, 18),
    granted_at  DateTime64(6, 'UTC') COMMENT 'for invoices of periods that end after this instant',
    expires_at  Nullable(DateTime64(6, 'UTC')) COMMENT 'and begin before this one; null: never',
    reason      String COMMENT 'as on the invoice',
    added_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    version     UInt64 DEFAULT bitNot(toUInt64(toUnixTimestamp64Micro(added_at)))
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY credit_id;

CREATE VIEW credits {on_cluster} AS SELECT * EXCEPT (version) FROM stored_credits FINAL;

-- The billing periods of accounts with settings of their own, written out for SQL.
CREATE TABLE stored_billing_periods {on_cluster}
(
    account_id  String,
    label       LowCardinality(String) COMMENT 'the month in which the period begins, like 2026-11',
    starts_at   DateTime('UTC'),
    ends_at     DateTime('UTC') COMMENT 'exclusive',
    made_at     DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(made_at)
ORDER BY (account_id, label);

CREATE VIEW billing_periods {on_cluster} AS SELECT * FROM stored_billing_periods FINAL;

-- Cost and use of every account by billing period, the platform's own work (context system) included.
CREATE VIEW period_costs {on_cluster} AS
SELECT
    account_id,
    period,
    starts_at,
    sum(period_events) AS events,
    sum(period_executions) AS executions,
    sum(period_ai_calls) AS ai_calls,
    sum(period_input_tokens) AS input_tokens,
    sum(period_output_tokens) AS output_tokens,
    sum(period_cost_usd) AS cost_usd,
    sum(period_reported_cost_usd) AS reported_cost_usd,
    sum(period_estimated_cost_usd) AS estimated_cost_usd,
    sum(period_adjusted_cost_usd) AS adjusted_cost_usd,
    sum(period_unpriced_calls) AS unpriced_calls,
    sum(period_unmeasured_calls) AS unmeasured_calls,
    sum(period_unpriced_plugins) AS unpriced_plugins
FROM
(
    SELECT
        used.account_id AS account_id,
        if(held.ends_at > used.minute, toString(held.label), formatDateTime(used.minute, '%Y-%m', 'UTC')) AS period,
        if(held.ends_at > used.minute, held.starts_at, toDateTime(toStartOfMonth(used.minute, 'UTC'), 'UTC')) AS starts_at,
        used.events AS period_events,
        used.executions AS period_executions,
        used.ai_calls AS period_ai_calls,
        used.input_tokens AS period_input_tokens,
        used.output_tokens AS period_output_tokens,
        used.cost_usd AS period_cost_usd,
        used.reported_cost_usd AS period_reported_cost_usd,
        used.estimated_cost_usd AS period_estimated_cost_usd,
        used.adjusted_cost_usd AS period_adjusted_cost_usd,
        used.unpriced_calls AS period_unpriced_calls,
        used.unmeasured_calls AS period_unmeasured_calls,
        used.unpriced_plugins AS period_unpriced_plugins
    FROM usage_by_subject AS used
    ASOF LEFT JOIN billing_periods AS held ON used.account_id = held.account_id AND used.minute >= held.starts_at
)
GROUP BY account_id, period, starts_at;

-- Which invoice has which number. A number is claimed before the invoice is made; they follow each other without a gap.
CREATE TABLE stored_invoice_numbers {on_cluster}
(
    number      UInt64,
    account_id  String,
    period      LowCardinality(String),
    revision    UInt16 COMMENT '0; one more for each time that a void invoice of the period was issued anew',
    claimed_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    version     UInt64 DEFAULT bitNot(toUInt64(toUnixTimestamp64Micro(claimed_at)))
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY number
SETTINGS {deduplication_window} = 10000;

-- The invoices: one row each, never changed. Amounts are US dollars to the last digit; the sum of the lines is due_usd.
CREATE TABLE stored_invoices {on_cluster}
(
    number         UInt64,
    invoice_id     String COMMENT 'as on the invoice',
    account_id     String,
    period         LowCardinality(String) COMMENT 'the month in which it begins, like 2026-11',
    revision       UInt16,
    starts_at      DateTime64(6, 'UTC'),
    ends_at        DateTime64(6, 'UTC') COMMENT 'exclusive',
    issued_at      DateTime64(6, 'UTC'),
    usage_usd      Decimal(38, 18) COMMENT 'sum of the lines of kind usage',
    late_usd       Decimal(38, 18) COMMENT 'sum of the lines of kind late: what earlier periods cost more or less than was billed for them',
    plan_usd       Decimal(38, 18),
    allowance_usd  Decimal(38, 18) COMMENT 'what the plan includes, taken off; positive where less is included by now than was given',
    add_ons_usd    Decimal(38, 18),
    carried_usd    Decimal(38, 18) COMMENT 'zero or negative: from earlier invoices whose sum was negative',
    credits_usd    Decimal(38, 18) COMMENT 'zero or negative',
    rounding_usd   Decimal(38, 18) COMMENT 'what brings the exact sum to whole cents',
    due_usd        Decimal(38, 18) COMMENT 'in whole cents; a negative sum is carried to the next invoice',
    system_usd     Decimal(38, 18) COMMENT 'what the platform used itself in the period; not billed',
    settings       String COMMENT 'JSON: how the account was billed in this period',
    lines          Array(Tuple(
                       kind String, period String, workflow_id String, provider String, model String, unit String,
                       service_tier String, source String, usd_per_unit Decimal(38, 18), events Int64,
                       quantity Decimal(38, 9), amount_usd Decimal(38, 18), reference String, text String)),
    digest         String COMMENT 'SHA-256 over the canonical JSON of all of the above, hexadecimal',
    stored_at      DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    version        UInt64 DEFAULT bitNot(toUInt64(toUnixTimestamp64Micro(stored_at)))
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY number
SETTINGS {deduplication_window} = 10000;

-- What became of an invoice. The row of the highest step counts; without one it is pending.
CREATE TABLE stored_invoice_statuses {on_cluster}
(
    number   UInt64,
    step     UInt32 COMMENT 'counts the changes of an invoice from 1 on',
    status   LowCardinality(String) COMMENT 'pending, paid, failed or void',
    at       DateTime64(6, 'UTC'),
    by       String,
    note     String,
    made_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    version  UInt64 DEFAULT bitNot(toUInt64(toUnixTimestamp64Micro(made_at)))
)
ENGINE = {ReplacingMergeTree}(version)
ORDER BY (number, step)
SETTINGS {deduplication_window} = 10000;

CREATE VIEW invoice_statuses {on_cluster} AS SELECT * EXCEPT (made_at, version) FROM stored_invoice_statuses FINAL;

CREATE VIEW invoices {on_cluster} AS
SELECT
    issued.* EXCEPT (version, stored_at),
    if(latest.step = 0, 'pending', latest.status) AS status,
    if(latest.step = 0, issued.issued_at, latest.at) AS status_at
FROM stored_invoices AS issued FINAL
LEFT JOIN
(
    SELECT number, max(step) AS step, argMax(status, statuses.step) AS status, argMax(at, statuses.step) AS at
    FROM invoice_statuses AS statuses
    GROUP BY number
) AS latest ON latest.number = issued.number;

-- One row for each line of each invoice.
CREATE VIEW invoice_lines {on_cluster} AS
SELECT
    number, invoice_id, account_id, period AS invoice_period, status, issued_at,
    line_number,
    line.kind AS kind,
    line.period AS period,
    line.workflow_id AS workflow_id,
    line.provider AS provider,
    line.model AS model,
    line.unit AS unit,
    line.service_tier AS service_tier,
    line.source AS source,
    line.usd_per_unit AS usd_per_unit,
    line.events AS events,
    line.quantity AS quantity,
    line.amount_usd AS amount_usd,
    line.reference AS reference,
    line.text AS text
FROM invoices
ARRAY JOIN lines AS line, arrayEnumerate(lines) AS line_number;
