-- Where the money of attempts went.
sum(rollup.useful_cost_usd) AS useful_cost_usd,
sum(rollup.retried_cost_usd) AS retried_cost_usd,
sum(rollup.failed_cost_usd) AS failed_cost_usd,
sum(rollup.cancelled_cost_usd) AS cancelled_cost_usd,
sum(rollup.wasted_cost_usd) AS wasted_cost_usd
