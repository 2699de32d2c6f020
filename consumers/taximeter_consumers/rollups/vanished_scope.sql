-- The rows of a rollup that the tick's batches touch.
(account_id, $key) IN (SELECT account_id, $expression FROM ($touched))
