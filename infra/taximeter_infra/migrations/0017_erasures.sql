-- Which users were erased, so that what comes back from Kafka or an archive can be erased again. The id is not here: only
-- a salted hash of it, which tells for a given id whether it was erased. A row of each erasure; the highest step counts.
CREATE TABLE stored_erasures {on_cluster}
(
    erasure_id  UUID,
    digest      String COMMENT 'SHA-256 of the salt and the user id, hexadecimal',
    salt        String COMMENT 'random; one for the whole database',
    account_id  String COMMENT 'the account in which the user was erased; empty: in every account',
    pseudonym   String COMMENT 'what stands in place of the id; empty once the erasure is done',
    rows        UInt64 COMMENT 'rows that named the user when it began',
    by          String COMMENT 'who ordered it',
    step        UInt8 COMMENT '1: begun, 2: done',
    at          DateTime64(6, 'UTC') COMMENT 'when this step was taken'
)
ENGINE = {ReplacingMergeTree}(step)
ORDER BY erasure_id;

CREATE VIEW erasures {on_cluster} AS
SELECT erasure_id, account_id, rows, by, if(step = 2, 'done', 'begun') AS state, at FROM stored_erasures FINAL;

-- From which instant on raw events are kept, what was deleted before, and how long texts are kept. What is before it is
-- frozen: rollups, invoices and audits leave it as it is. A row of each order, the highest step counts; the latest
-- kept_from of all orders is the horizon.
CREATE TABLE stored_retentions {on_cluster}
(
    order_id    UUID,
    kept_from   DateTime64(6, 'UTC') COMMENT 'raw events of uses that ended before may be gone; 1970: the order is about texts',
    deleted     UInt64 COMMENT 'rows that it deletes, counted when it began',
    texts_days  Nullable(UInt32) COMMENT 'texts are emptied after so many days, 0: never; NULL: the order is about events',
    by          String COMMENT 'who ordered it',
    step        UInt8 COMMENT '1: announced, what begins leaves out what is before; 2: sealed, what began earlier is refused; 3: done',
    at          DateTime64(6, 'UTC') COMMENT 'when this step was taken'
)
ENGINE = {ReplacingMergeTree}(step)
ORDER BY order_id;

CREATE VIEW retentions {on_cluster} AS
SELECT
    order_id, if(isNull(texts_days), kept_from, NULL) AS kept_from, deleted, texts_days, by,
    if(step = 3, 'done', 'begun') AS state, at
FROM stored_retentions FINAL;
