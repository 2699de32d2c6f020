-- What was used and has no price, by unit: calls of models and units of plugins. A call lists all that it used.
SELECT
    provider, model, unit,
    sum(charge.events) AS events,
    sum(charge.quantity) AS quantity,
    toUnixTimestamp(min(charge.quarter)) AS first_seen,
    toUnixTimestamp(max(charge.quarter)) AS last_seen
FROM charges AS charge
WHERE source = 'unpriced' AND ({account:String} = '' OR account_id = {account:String})
GROUP BY provider, model, unit
ORDER BY provider, model, unit
