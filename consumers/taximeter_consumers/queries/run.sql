-- One run, in every account that has one of this id.
SELECT
    account_id, run_id, workflow_id, user_id, project_id, parent_run_id, context, started_at, ended_at,
    duration_us, executions, successes, errors, timeouts, cancellations, memory_breaches, timeout_breaches,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, total_tokens,
    http_requests, http_bytes_out, http_bytes_in, http_errors, plugin_invocations, custom_units, ai_units, cpu_us, max_rss_bytes,
    $money
FROM run_costs
WHERE run_id = {run_id:String} AND ({account:String} = '' OR account_id = {account:String})
ORDER BY account_id
