-- Models over all hours, the dearest first; every one of them.
SELECT
    provider, model,
    $sums
FROM model_costs AS rollup
WHERE ({account:String} = '' OR account_id = {account:String})
  AND toInt64(toUnixTimestamp(hour)) * 1000000 >= {since:Int64} AND toInt64(toUnixTimestamp(hour)) * 1000000 < {until:Int64}
GROUP BY provider, model
ORDER BY cost_usd DESC, provider, model
