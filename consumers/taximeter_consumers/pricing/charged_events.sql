-- Every event of a scope once, with what it costs: the twin of `cost_of` in price.py, held equal to it by test.
-- Quantities are Int128 and amounts Decimal of 76 digits, which no counter times no rate can overflow.
--
-- From the inside out: the counters of a call; split into cells that do not overlap, in the order of units.py, with the
-- cards that hold for the event; their prices in the same order; the amount of each part; the cost.
SELECT
    judged.*,
    if(model_source IN ('reported', 'priced'), model_amount, toDecimal256(0, 18)) AS model_cost,
    if(plugin_source = 'priced', plugin_amount, toDecimal256(0, 18)) AS plugin_cost,
    if(resource_source = 'priced', resource_amount, toDecimal256(0, 18)) AS resource_cost,
    adjusted_model + adjusted_plugin + adjusted_resource AS adjusted_cost,
    model_cost + plugin_cost + resource_cost + adjusted_cost AS cost,
    arrayFilter(source -> source != 'none', arrayDistinct([model_source, plugin_source, resource_source])) AS sources,
    multiIf(empty(sources), 'none', length(sources) = 1, sources[1], 'mixed') AS cost_source,
    arrayFilter(
        line -> line.5 != 0,
        arrayConcat(
            arrayMap(
                (unit, cell, rate) -> (
                    toString(provider), model, unit, model_source,
                    if(
                        model_source = 'unpriced' OR (model_source = 'priced' AND isNotNull(rate)),
                        toDecimal256(cell, 9), toDecimal256(0, 9)
                    ),
                    if(model_source = 'priced', ifNull(rate, 0), toDecimal128(0, 18)),
                    if(model_source = 'priced', toDecimal256(cell, 0) * ifNull(rate, 0), toDecimal256(0, 18))
                ),
                $units, cells, rates
            ),
            [
                (
                    toString(provider), model, 'calls', model_source,
                    toDecimal256(model_source IN ('reported', 'unmeasured'), 9), toDecimal128(0, 18),
                    if(model_source = 'reported', model_amount, toDecimal256(0, 18))
                )
            ],
            arrayMap(
                line -> (line.1, line.2, 'calls', 'adjusted', toDecimal256(line.3 != 0, 9), toDecimal128(0, 18), line.3),
                [
                    (toString(provider), model, adjusted_model),
                    ('plugin', toString(plugin_id), adjusted_plugin),
                    ('resource', '', adjusted_resource)
                ]
            ),
            arrayMap(
                line -> (
                    'plugin', toString(plugin_id), line.1, plugin_source, toDecimal256(line.2, 9),
                    if(plugin_source = 'priced', plugin_prices[line.1], toDecimal128(0, 18)),
                    if(plugin_source = 'priced', line.3, toDecimal256(0, 18))
                ),
                plugin_lines
            ),
            arrayMap(
                (unit, amount, rate) -> (
                    'resource', '', unit, 'priced',
                    toDecimal256(if(resource_source = 'priced' AND isNotNull(rate), amount, 0), 9),
                    ifNull(rate, 0), toDecimal256(amount, 0) * ifNull(rate, 0)
                ),
                $resources, resource_amounts, resource_rates
            )
        )
    ) AS lines
FROM
(
    SELECT
        *,
        multiIf(
            usage_type = '', 'none',
            isNull(reported_cost) AND quality IN ('missing', 'unknown', ''), 'unmeasured',
            isNull(reported_cost) AND lacks_price, if(is_adjusted, 'priced', 'unpriced'),
            abs(model_amount) > 1000000000000, 'unmeasured',
            isNotNull(reported_cost), 'reported',
            'priced'
        ) AS model_source,
        multiIf(
            empty(plugin_lines), 'none',
            arrayExists(line -> NOT mapContains(plugin_prices, line.1), plugin_lines), 'unpriced',
            abs(plugin_amount) > 1000000000000, 'unpriced',
            'priced'
        ) AS plugin_source,
        if(has_resource AND abs(resource_amount) <= 1000000000000, 'priced', 'none') AS resource_source
    FROM
    (
        SELECT
            *,
            if(
                isNotNull(reported_cost), toDecimal256(ifNull(reported_cost, 0), 18),
                arraySum((cell, rate) -> toDecimal256(cell, 0) * ifNull(rate, 0), cells, rates)
            ) AS model_amount,
            model_card = 0
            OR arrayExists((cell, rate, required) -> required AND cell != 0 AND isNull(rate), cells, rates, $required)
                AS lacks_price,
            arraySum(line -> line.3, plugin_lines) AS plugin_amount,
            arraySum((amount, rate) -> toDecimal256(amount, 0) * ifNull(rate, 0), resource_amounts, resource_rates)
                AS resource_amount,
            arrayExists((amount, rate) -> amount != 0 AND isNotNull(rate), resource_amounts, resource_rates) AS has_resource
        FROM
        (
            SELECT
                *,
                $rates AS rates,
                $resource_rates AS resource_rates,
                $plugin_prices AS plugin_prices,
                arrayMap(
                    line -> (
                        line.1, line.2,
                        toDecimal256(toDecimal256(line.2, 9) * toDecimal128(plugin_prices[line.1], 9), 18)
                    ),
                    arrayConcat(
                        arrayFilter(line -> line.2 != 0, CAST(custom_units, 'Array(Tuple(String, Decimal(38, 9)))')),
                        if(
                            plugin_invocations != 0 AND mapContains(plugin_prices, '$invocations')
                            AND custom_units['$invocations'] = 0,
                            [('$invocations', toDecimal128(plugin_invocations, 9))], []
                        )
                    )
                ) AS plugin_lines,
                $adjusted
            FROM
            (
                SELECT
                    used.*,
                    arrayMap(cell -> if(kind = 'adjustment', cell, greatest(cell, toInt128(0))), [$cells]) AS cells,
                    [$resource_amounts] AS resource_amounts,
                    $model_card AS model_card,
                    $plugin_card AS plugin_card,
                    $resource_card AS resource_card
                FROM
                (
                    SELECT
                        *,
                        $counts,
                        $accounts,
                        intDiv(positiveModulo(toUnixTimestamp64Micro(occurred_at), 86400000000), 1000000) AS second_of_day,
                        intDiv(input_tokens, greatest(ai_units['requests'], toInt64(1))) AS call_size
                    FROM stored_events FINAL
                    WHERE $scope
                ) AS used
                $joined_series
            ) AS fitted
            $joined_cards
        ) AS rated
    ) AS summed
) AS judged
