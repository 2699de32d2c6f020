-- Keys of the HTTP API. A secret is 256 random bits, so its plain SHA-256 is enough: there is nothing to guess from a list.
-- A key is one row when it is made and another when it is revoked; the row of the highest step counts.
CREATE TABLE stored_api_keys {on_cluster}
(
    key_id       String COMMENT 'the part of the key that is no secret',
    secret_hash  String COMMENT 'SHA-256 of the secret part, hexadecimal',
    name         String COMMENT 'who or what uses it',
    account_id   String COMMENT 'the only account that it sees; *: all, for operators',
    scopes       Array(LowCardinality(String)) COMMENT 'ingest, read, billing, admin',
    created_at   DateTime64(6, 'UTC'),
    created_by   String,
    expires_at   Nullable(DateTime64(6, 'UTC')) COMMENT 'from then on it opens nothing; null: never',
    revoked_at   Nullable(DateTime64(6, 'UTC')) COMMENT 'from then on it opens nothing',
    revoked_by   String,
    step         UInt8 COMMENT '1: made, 2: revoked'
)
ENGINE = {ReplacingMergeTree}(step)
ORDER BY key_id;

CREATE VIEW api_keys {on_cluster} AS SELECT * EXCEPT (secret_hash, step) FROM stored_api_keys FINAL;

-- A run is looked up by its id alone, and its sub-runs by their parent: the order of the table serves neither. Parts that
-- are there already get the indexes when they are next merged; until then they are read whole.
ALTER TABLE stored_run_costs {on_cluster}
    ADD INDEX IF NOT EXISTS runs run_id TYPE bloom_filter(0.001) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS parents parent_run_id TYPE bloom_filter(0.001) GRANULARITY 1;
