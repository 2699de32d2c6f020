-- Runs, the newest first.
SELECT
    account_id, run_id, workflow_id, user_id, project_id, parent_run_id, context, started_at, ended_at,
    duration_us, executions, successes, errors, timeouts, cancellations,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    http_requests, plugin_invocations, cpu_us,
    $money
FROM run_costs
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toUnixTimestamp64Micro(started_at) >= {since:Int64} AND toUnixTimestamp64Micro(started_at) < {until:Int64}
ORDER BY started_at DESC, account_id, run_id
LIMIT {limit:UInt64}
