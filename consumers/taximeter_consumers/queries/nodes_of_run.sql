-- The nodes of one run.
SELECT
    account_id, run_id, node_id, node_type, workflow_id, user_id, started_at, ended_at, attempts,
    duration_us, executions, successes, errors, timeouts, cancellations, memory_breaches, timeout_breaches,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    http_requests, http_bytes_out, http_bytes_in, http_errors, plugin_invocations, custom_units, ai_units, cpu_us, max_rss_bytes,
    $money
FROM node_costs
WHERE run_id = {run_id:String} AND ({account:String} = '' OR account_id = {account:String})
ORDER BY account_id, started_at, node_id
