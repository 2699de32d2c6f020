-- Which users were erased, so that what comes back from Kafka or an archive can be erased again. The id is not here: only
-- a salted hash of it, which tells for a given id whether it was erased. A row of each erasure; the highest step counts.
CREATE TABLE stored_erasures {on_cluster}
(
    erasure_id  UUID,
    digest      String COMMENT 'SHA-256 of the salt and the user id, hexadecimal',
    salt        String COMMENT 'random; one for the whole database',
    account_id  String COMMENT 'the account in which the user was erased; empty: in every account',
    pseudonym   String COMMENT 'what stands in place of the id; empty once the erasure is done, so that nothing leads from the one to the other',
    rows        UInt64 COMMENT 'rows that named the user when it began',
    by          String COMMENT 'who ordered it',
    step        UInt8 COMMENT '1: begun, 2: done',
    at          DateTime64(6, 'UTC') COMMENT 'when this step was taken'
)
ENGINE = {ReplacingMergeTree}(step)
ORDER BY erasure_id;

CREATE VIEW erasures {on_cluster} AS
SELECT erasure_id, account_id, rows, by, if(step = 2, 'done', 'begun') AS state, at FROM stored_erasures FINAL;

-- From which instant on raw events are kept, and what was deleted before. The rows before it are frozen: rollups, invoices
-- and audits leave them as they are. The latest row counts.
CREATE TABLE stored_retentions {on_cluster}
(
    kept_from   DateTime64(6, 'UTC') COMMENT 'raw events of uses that ended before may be gone',
    deleted     UInt64 COMMENT 'rows that were deleted',
    by          String COMMENT 'who ordered it',
    at          DateTime64(6, 'UTC')
)
ENGINE = {ReplacingMergeTree}(at)
ORDER BY kept_from;

CREATE VIEW retentions {on_cluster} AS SELECT * FROM stored_retentions FINAL;
