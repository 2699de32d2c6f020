-- Models over all hours, the dearest first.
SELECT
    provider, model, usage_type,
    sum(rollup.priced_calls) AS priced_calls,
    sum(rollup.reported_calls) AS reported_calls,
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
FROM model_costs AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toInt64(toUnixTimestamp(hour)) * 1000000 >= {since:Int64} AND toInt64(toUnixTimestamp(hour)) * 1000000 < {until:Int64}
GROUP BY provider, model, usage_type
ORDER BY cost_usd DESC, provider, model, usage_type
LIMIT {limit:UInt64}
