-- The price book, in place of stored_rates. Rows are only ever appended. A row holds from its own instant until the next row of
-- the same series begins; a series is everything but the instants and the price. A null price says that from then on this
-- series knows none, which is not a free one.
DROP VIEW IF EXISTS rate_cards {on_cluster};
DROP VIEW IF EXISTS rates {on_cluster};
DROP TABLE IF EXISTS stored_rates {on_cluster} SYNC;

CREATE TABLE stored_prices {on_cluster}
(
    account_id          String COMMENT 'whose price it is; empty: everybody\'s',
    provider            LowCardinality(String) COMMENT 'as in the book; plugin for the units of plugins, resource for CPU time, HTTP and node executions',
    model               String COMMENT 'as in the book; the plugin for plugins, empty for resources',
    unit                LowCardinality(String) COMMENT 'input_tokens, cache_read_tokens, images, cpu_us, ...',
    service_tier        LowCardinality(String) COMMENT 'standard, batch, flex, priority, ...',
    above_input_tokens  UInt64 COMMENT 'the price holds for the whole of a call with more input tokens than this; 0: any call',
    window_start        UInt32 COMMENT 'second of the UTC day from which it holds',
    window_end          UInt32 COMMENT 'second of the UTC day before which it holds; 86400 with a start of 0: all day',
    valid_from          DateTime64(6, 'UTC'),
    known_from          DateTime64(6, 'UTC') COMMENT 'calls that arrived before this keep the price that they had',
    usd_per_unit        Nullable(Decimal(38, 18)) COMMENT 'US dollars for one unit, exact',
    source              String COMMENT 'where the price was read',
    added_by            String,
    added_at            DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (account_id, provider, model, unit, service_tier, above_input_tokens, window_start, window_end, valid_from, known_from);

CREATE VIEW prices {on_cluster} AS
SELECT
    account_id, provider, model, unit, service_tier, above_input_tokens, window_start, window_end, usd_per_unit, valid_from,
    leadInFrame(valid_from, 1, toDateTime64('2299-01-01 00:00:00', 6, 'UTC')) OVER
    (
        PARTITION BY account_id, provider, model, unit, service_tier, above_input_tokens, window_start, window_end
        ORDER BY valid_from, known_from ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS valid_to,
    known_from, source, added_by, added_at
FROM stored_prices FINAL;

-- Percentages off the list prices of an account. The most specific row counts: model, then provider, then all.
CREATE TABLE stored_discounts {on_cluster}
(
    account_id  String,
    provider    LowCardinality(String) COMMENT 'empty: all providers',
    model       String COMMENT 'empty: all models of the provider',
    valid_from  DateTime64(6, 'UTC'),
    known_from  DateTime64(6, 'UTC') COMMENT 'calls that arrived before this keep the price that they had',
    percent     Nullable(Decimal(9, 6)) COMMENT 'off the list price; null: from then on none',
    source      String COMMENT 'why',
    added_by    String,
    added_at    DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (account_id, provider, model, valid_from, known_from);

CREATE VIEW discounts {on_cluster} AS SELECT * FROM stored_discounts FINAL;

-- All prices of one model in one situation, flat. Its id is made of its content.
CREATE TABLE stored_price_cards {on_cluster}
(
    card_id       UInt64,
    usd_per_unit  Map(String, Decimal(38, 18)),
    made_at       DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(made_at)
ORDER BY card_id;

CREATE VIEW price_cards {on_cluster} AS SELECT * FROM stored_price_cards FINAL;

-- The book as the rollups use it: for what events call a model, the situations and their cards. The first entry that fits
-- counts. A version of the book is the hash of all its series.
CREATE TABLE stored_price_series {on_cluster}
(
    book_version  UInt64,
    account_id    String COMMENT 'empty: all accounts that have no series of their own for the pair',
    provider      LowCardinality(String) COMMENT 'as in the events',
    model         String COMMENT 'as in the events',
    entries       Array(Tuple(
                      known_from DateTime64(6, 'UTC'), valid_from DateTime64(6, 'UTC'), service_tier String,
                      window_start UInt32, window_end UInt32, above_input_tokens UInt64, card_id UInt64)),
    made_at       DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(made_at)
ORDER BY (book_version, account_id, provider, model);

-- Which version of the book the rollups have worked in, in order.
CREATE TABLE stored_book_versions {on_cluster}
(
    rolled_up_at  DateTime64(6, 'UTC'),
    book_version  UInt64,
    tick          UInt64 COMMENT 'the version that rollups were written with when the book was worked in'
)
ENGINE = {ReplacingMergeTree}
ORDER BY (rolled_up_at, book_version);

-- What re-rating has changed, a row for each event and re-rating. Events and their first price stay as they are. Rows count
-- once their re-rating has written all of them.
CREATE TABLE stored_adjustments {on_cluster}
(
    account_id    String,
    run_id        String,
    event_id      UUID,
    id_time       DateTime64(3, 'UTC'),
    occurred_at   DateTime64(6, 'UTC'),
    reprice_id    String,
    model_usd     Decimal(38, 18) COMMENT 'what its call of a model costs more (or less) from now on',
    plugin_usd    Decimal(38, 18) COMMENT 'and its units of a plugin',
    resource_usd  Decimal(38, 18) COMMENT 'and its resources',
    old_card      UInt64 COMMENT 'the price card of the model that it was priced by; 0: none',
    new_card      UInt64,
    made_at       DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(made_at)
PARTITION BY toYYYYMM(id_time)
ORDER BY (account_id, id_time, event_id, reprice_id);


-- Every re-rating: what it covered, who ordered it and why. The row of the highest step counts.
CREATE TABLE stored_reprices {on_cluster}
(
    reprice_id    String,
    account_id    String COMMENT 'empty: all accounts',
    since         DateTime64(6, 'UTC') COMMENT 'inclusive, over occurred_at',
    until         DateTime64(6, 'UTC') COMMENT 'exclusive',
    old_book      UInt64 COMMENT 'the version of the book that the rollups had',
    new_book      UInt64 COMMENT 'the version that it was priced with',
    ordered_by    String,
    reason        String,
    events        UInt64 COMMENT 'events whose cost changed',
    amount_usd    Decimal(38, 18),
    step          UInt8 COMMENT '1: begun, 2: adjustments are written, 3: they are in the rollups',
    at            DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(step)
ORDER BY reprice_id;

CREATE VIEW reprices {on_cluster} AS SELECT * FROM stored_reprices FINAL;

CREATE VIEW adjustments {on_cluster} AS
SELECT
    change.* EXCEPT (made_at),
    model_usd + plugin_usd + resource_usd AS amount_usd,
    old_book, new_book, ordered_by, reason,
    change.made_at AS made_at
FROM (SELECT * FROM stored_adjustments FINAL) AS change
INNER JOIN (SELECT * FROM reprices WHERE step >= 2) AS reprice ON reprice.reprice_id = change.reprice_id;
