-- Nodes of single runs, the dearest first.
SELECT
    account_id, run_id, node_id, node_type, workflow_id, user_id, started_at, ended_at, attempts,
    duration_us, executions, successes, errors, timeouts, cancellations,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    http_requests, plugin_invocations, cpu_us,
    $money
FROM node_costs
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toUnixTimestamp64Micro(started_at) >= {since:Int64} AND toUnixTimestamp64Micro(started_at) < {until:Int64}
ORDER BY cost_usd DESC, account_id, run_id, node_id
LIMIT {limit:UInt64}
