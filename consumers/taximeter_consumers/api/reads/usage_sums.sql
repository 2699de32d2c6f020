-- Sums over priced events: in total, by model and by context, in one pass.
SELECT
    toUInt8(grouping(provider)) AS of_models,
    toUInt8(grouping(context)) AS of_contexts,
    toString(provider) AS provider,
    toString(model) AS model,
    toString(context) AS context,
    count() AS events,
    $measures,
    CAST(sum(model_cost + adjusted_model), 'Decimal(38, 18)') AS models_cost_usd
FROM ($events) AS charged
GROUP BY GROUPING SETS ((), (provider, model), (context))
ORDER BY of_models, of_contexts, cost_usd DESC, provider, model, context
SETTINGS $settings, max_bytes_before_external_group_by = 268435456
