-- Node types by the time that they took.
SELECT
    node_type,
    count() AS nodes,
    $sums,
    $spent
FROM node_costs AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toUnixTimestamp64Micro(started_at) >= {since:Int64} AND toUnixTimestamp64Micro(started_at) < {until:Int64}
GROUP BY node_type
ORDER BY duration_us DESC, node_type
LIMIT {limit:UInt64}
