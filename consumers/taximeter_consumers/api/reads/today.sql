-- What was used and what it cost since a minute, of an account, a user, or everybody.
SELECT
    sum(rollup.cost_usd) AS cost_usd,
    sum(rollup.total_tokens) AS total_tokens,
    sum(rollup.events) AS events,
    sum(rollup.ai_calls) AS ai_calls,
    sum(rollup.unpriced_calls) AS unpriced_calls,
    sum(rollup.unmeasured_calls) AS unmeasured_calls,
    sum(rollup.estimated_calls) AS estimated_calls
FROM usage_by_subject AS rollup
WHERE rollup.minute >= toDateTime({since:UInt32}, 'UTC') AND $account AND $user
