-- Workflows, the dearest first.
SELECT
    account_id, workflow_id,
    count() AS runs,
    $sums,
    $spent
FROM run_costs AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toUnixTimestamp64Micro(started_at) >= {since:Int64} AND toUnixTimestamp64Micro(started_at) < {until:Int64}
GROUP BY account_id, workflow_id
ORDER BY cost_usd DESC, account_id, workflow_id
LIMIT {limit:UInt64}
