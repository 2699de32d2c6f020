-- What every report of single rows of a rollup with attempts says of their cost.
cost_usd, cost_source,
model_cost_usd, plugin_cost_usd, resource_cost_usd, adjusted_cost_usd, reported_cost_usd, estimated_cost_usd,
ai_calls, reported_calls, priced_calls, unpriced_calls, unmeasured_calls, estimated_calls, plugin_uses, unpriced_plugins,
useful_cost_usd, retried_cost_usd, failed_cost_usd, cancelled_cost_usd, wasted_cost_usd
