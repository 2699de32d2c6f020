-- Quantiles over the finished runs of a workflow, and over each of their nodes: a value that was there, never one
-- between two: the smallest that at least half, or 95 in 100, of the runs did not exceed.
WITH
    runs AS
    (
        SELECT run_id
        FROM run_costs
        WHERE account_id = {account:String} AND workflow_id = {workflow:String} AND context != 'system'
          AND started_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
          AND ended_at < now64(6) - INTERVAL {quiet:UInt32} SECOND
        ORDER BY started_at DESC, run_id
        LIMIT {most:UInt32}
    ),
    nodes AS
    (
        SELECT
            run_id, node_id, node_type, total_tokens, input_tokens, output_tokens, executions,
            if(node_type = 'code', duration_us, 0) AS code_us, http_requests, http_bytes_out + http_bytes_in AS http_bytes,
            plugin_invocations, cost_usd, custom_units, unpriced_calls + unmeasured_calls + unpriced_plugins AS lacking
        FROM node_costs
        WHERE account_id = {account:String} AND run_id IN (SELECT run_id FROM runs)
    )
SELECT node, type, count(), countIf(lacks > 0), $quantiles, groupArray(mapFilter((unit, amount) -> amount != 0, units))
FROM
(
    SELECT '' AS node, '' AS type, $sums, sumMap(custom_units) AS units, sum(lacking) AS lacks
    FROM nodes GROUP BY run_id
    UNION ALL
    SELECT concat('n', node_id) AS node, any(node_type) AS type, $sums, sumMap(custom_units) AS units, sum(lacking) AS lacks
    FROM nodes GROUP BY run_id, node_id
)
GROUP BY node, type
ORDER BY node, type
SETTINGS prefer_column_name_to_alias = 1
