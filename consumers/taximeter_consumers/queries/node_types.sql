-- Node types by the time that they took.
SELECT
    node_type,
    count() AS nodes,
    sum(rollup.executions) AS executions,
    sum(rollup.successes) AS successes,
    sum(rollup.errors) AS errors,
    sum(rollup.timeouts) AS timeouts,
    sum(rollup.cancellations) AS cancellations,
    sum(rollup.duration_us) AS duration_us,
    sum(rollup.input_tokens) AS input_tokens,
    sum(rollup.output_tokens) AS output_tokens,
    sum(rollup.cache_read_tokens) AS cache_read_tokens,
    sum(rollup.cache_write_tokens) AS cache_write_tokens,
    sum(rollup.reasoning_tokens) AS reasoning_tokens,
    sum(rollup.cost_usd) AS cost_usd,
    sum(rollup.ai_calls) AS ai_calls,
    sum(rollup.unpriced_calls) AS unpriced_calls,
    sum(rollup.unmeasured_calls) AS unmeasured_calls,
    sum(rollup.estimated_calls) AS estimated_calls
FROM node_costs AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toUnixTimestamp64Micro(started_at) >= {since:Int64} AND toUnixTimestamp64Micro(started_at) < {until:Int64}
GROUP BY node_type
ORDER BY duration_us DESC, node_type
LIMIT {limit:UInt64}
