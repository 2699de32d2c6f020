-- What was metered by day (UTC), model and reason to doubt it. A call is doubted for the first reason that holds. What
-- re-rating has added to a call is a row of its own, as a correction.
SELECT
    toDate(occurred_at, 'UTC') AS day,
    provider,
    model,
    part.1 AS reason,
    $subject
    toInt64(sum(part.2)) AS calls,
    CAST(sum(part.3), 'Decimal(38, 18)') AS cost_usd,
    sum(part.4) AS tokens
FROM
(
    SELECT
        occurred_at, provider, model, account_id, run_id,
        arrayJoin(arrayConcat(
            [(
                multiIf(
                    kind = 'adjustment', 'adjusted',
                    model_source = 'unmeasured', 'unmeasured',
                    model_source = 'unpriced', 'unpriced',
                    quality IN ('estimated', 'partial'), 'estimated',
                    outcome = 'timeout', 'timeout',
                    outcome = 'error', 'failed',
                    outcome = 'cancelled', 'cancelled',
                    ''),
                1, model_cost, toInt128(input_tokens) + toInt128(output_tokens)
            )],
            if(adjusted_model = 0, [], [('adjusted', 0, adjusted_model, toInt128(0))])
        )) AS part
    FROM ($charged_events) AS charged_events
    WHERE usage_type != '' AND (provider, model) IN (
        SELECT known_provider, known_model
        FROM (SELECT {providers:Array(String)} AS providers, {models:Array(String)} AS models)
        ARRAY JOIN providers AS known_provider, models AS known_model
    )
)
WHERE $condition
GROUP BY day, provider, model, reason$by_subject
ORDER BY day, provider, model, reason$order
SETTINGS $settings
