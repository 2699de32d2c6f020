-- The work of customers and the platform's own.
SELECT
    context,
    $sums
FROM usage_by_subject AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toInt64(toUnixTimestamp(minute)) * 1000000 >= {since:Int64} AND toInt64(toUnixTimestamp(minute)) * 1000000 < {until:Int64}
GROUP BY context
ORDER BY cost_usd DESC, context
