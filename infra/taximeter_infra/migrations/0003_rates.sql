-- The price book. Rows are only ever appended: a rate is valid from its own instant until the next row of the same
-- (provider, model, unit) begins. A null price says that from then on there is no known price, which is not a free one.
CREATE TABLE stored_rates {on_cluster}
(
    provider      LowCardinality(String),
    model         String,
    unit          LowCardinality(String) COMMENT 'input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, ...',
    valid_from    DateTime64(6, 'UTC'),
    usd_per_unit  Nullable(Decimal(38, 18)) COMMENT 'US dollars for one unit, exact',
    source        String COMMENT 'where the price was read',
    added_at      DateTime64(6, 'UTC') COMMENT 'when the row was added; the later row of two for the same instant wins'
)
ENGINE = {ReplacingMergeTree}(added_at)
ORDER BY (provider, model, unit, valid_from);

CREATE VIEW rates {on_cluster} AS
SELECT
    provider, model, unit, usd_per_unit, valid_from,
    leadInFrame(valid_from, 1, toDateTime64('2299-01-01 00:00:00', 6, 'UTC'))
        OVER (PARTITION BY provider, model, unit ORDER BY valid_from ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS valid_to,
    source, added_at
FROM stored_rates FINAL;

-- One row for every instant at which any price of a model changes, with all its prices of that instant. A unit whose price is
-- null then is not in the map.
CREATE VIEW rate_cards {on_cluster} AS
SELECT
    change.provider AS provider, change.model AS model, change.valid_from AS valid_from,
    mapFromArrays(
        groupArrayIf(rate.unit, isNotNull(rate.usd_per_unit)),
        groupArrayIf(assumeNotNull(rate.usd_per_unit), isNotNull(rate.usd_per_unit))
    ) AS usd_per_unit
FROM (SELECT DISTINCT provider, model, valid_from FROM rates) AS change
INNER JOIN rates AS rate ON rate.provider = change.provider AND rate.model = change.model
WHERE rate.valid_from <= change.valid_from AND change.valid_from < rate.valid_to
GROUP BY provider, model, valid_from;

-- What events call a model, and under which name the book knows it. Empty book names: looked for and not found.
CREATE TABLE stored_model_aliases {on_cluster}
(
    provider       LowCardinality(String) COMMENT 'as in the events',
    model          String COMMENT 'as in the events',
    book_provider  LowCardinality(String),
    book_model     String,
    matched_at     DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(matched_at)
ORDER BY (provider, model);

CREATE VIEW model_aliases {on_cluster} AS SELECT * FROM stored_model_aliases FINAL;
