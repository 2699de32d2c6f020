-- Users, the dearest first, with what quotas look at.
SELECT
    account_id, user_id,
    $sums
FROM usage_by_subject AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toInt64(toUnixTimestamp(minute)) * 1000000 >= {since:Int64} AND toInt64(toUnixTimestamp(minute)) * 1000000 < {until:Int64}
GROUP BY account_id, user_id
ORDER BY cost_usd DESC, account_id, user_id
LIMIT {limit:UInt64}
