-- Every event of a scope once, with what it costs: the twin of `cost_of` in price.py, held equal to it by test.
-- Quantities are Int128 and amounts Decimal of 76 digits, which no counter times no rate can overflow.
--
-- From the inside out: the counters of a call, split into cells that do not overlap, of which those that were used are
-- kept: (number of the unit in units.py, how many); the cards that hold for the event, their prices in the order of
-- units.py; the amount of each part; the cost. Arrays are short and empty where they can be: this runs for every event.
--
-- A part that lacks a price is never priced in part. Once re-rating has given it one, the adjustments are its whole cost.
SELECT
    judged.*,
    if(model_source IN ('reported', 'priced'), model_amount, toDecimal256(0, 18)) AS model_cost,
    if(plugin_source = 'priced', plugin_amount, toDecimal256(0, 18)) AS plugin_cost,
    if(resource_source = 'priced', resource_amount, toDecimal256(0, 18)) AS resource_cost,
    adjusted_model + adjusted_plugin + adjusted_resource AS adjusted_cost,
    model_cost + plugin_cost + resource_cost + adjusted_cost AS cost,
    arrayFilter(source -> source != 'none', arrayDistinct([model_source, plugin_source, resource_source])) AS sources,
    multiIf(empty(sources), 'none', length(sources) = 1, sources[1], 'mixed') AS cost_source,
    arrayConcat(
        arrayMap(
            used -> (
                toString(provider), model, $units[used.1], model_source, toDecimal256(used.2, 9),
                if(model_source = 'priced', ifNull(rates[used.1], 0), toDecimal128(0, 18)),
                if(model_source = 'priced', toDecimal256(used.2, 0) * ifNull(rates[used.1], 0), toDecimal256(0, 18))
            ),
            if(
                model_source = 'unpriced' OR (model_source = 'priced' AND NOT lacks_price),
                arrayFilter(used -> model_source = 'unpriced' OR isNotNull(rates[used.1]), cells), []
            )
        ),
        if(
            model_source IN ('reported', 'unmeasured'),
            [
                (
                    toString(provider), model, 'calls', model_source, toDecimal256(1, 9), toDecimal128(0, 18),
                    if(model_source = 'reported', model_amount, toDecimal256(0, 18))
                )
            ],
            []
        ),
        arrayMap(
            line -> (
                'plugin', toString(plugin_id), line.1, plugin_source, toDecimal256(line.2, 9),
                if(plugin_source = 'priced', plugin_prices[line.1], toDecimal128(0, 18)),
                if(plugin_source = 'priced', line.3, toDecimal256(0, 18))
            ),
            if(plugin_source = 'priced' AND lacks_plugin_price, [], plugin_lines)
        ),
        arrayMap(
            used -> (
                'resource', '', $resources[used.1], 'priced', toDecimal256(used.2, 9),
                ifNull(resource_rates[used.1], 0), toDecimal256(used.2, 0) * ifNull(resource_rates[used.1], 0)
            ),
            if(resource_source = 'priced', resources, [])
        ),
        $adjusted_lines
    ) AS lines
FROM
(
    SELECT
        *,
        multiIf(
            usage_type = '', 'none',
            isNull(reported_cost) AND quality IN ('missing', 'unknown', ''), 'unmeasured',
            isNull(reported_cost) AND lacks_price, if(model_is_adjusted, 'priced', 'unpriced'),
            abs(model_amount) > 1000000000000, 'unmeasured',
            isNotNull(reported_cost), 'reported',
            'priced'
        ) AS model_source,
        multiIf(
            empty(plugin_lines), 'none',
            lacks_plugin_price, if(plugin_is_adjusted, 'priced', 'unpriced'),
            abs(plugin_amount) > 1000000000000, 'unpriced',
            'priced'
        ) AS plugin_source,
        if(notEmpty(resources) AND abs(resource_amount) <= 1000000000000, 'priced', 'none') AS resource_source
    FROM
    (
        SELECT
            *,
            model_card = 0 OR arrayExists(used -> $required[used.1] AND isNull(rates[used.1]), cells) AS lacks_price,
            multiIf(
                isNotNull(reported_cost), toDecimal256(ifNull(reported_cost, 0), 18),
                lacks_price, toDecimal256(0, 18),
                arraySum(used -> toDecimal256(used.2, 0) * ifNull(rates[used.1], 0), cells)
            ) AS model_amount,
            arrayExists(line -> NOT mapContains(plugin_prices, line.1), plugin_lines) AS lacks_plugin_price,
            if(lacks_plugin_price, toDecimal256(0, 18), arraySum(line -> line.3, plugin_lines)) AS plugin_amount,
            arrayFilter(used -> isNotNull(resource_rates[used.1]), used_resources) AS resources,
            arraySum(used -> toDecimal256(used.2, 0) * ifNull(resource_rates[used.1], 0), resources) AS resource_amount
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
                    if(
                        usage_type = '', [],
                        arrayFilter(
                            used -> used.2 != 0,
                            arrayMap(
                                (number, cell) -> (number, if(kind = 'adjustment', cell, greatest(cell, toInt128(0)))),
                                range(1, $past_last_unit), [$cells]
                            )
                        )
                    ) AS cells,
                    $used_resources AS used_resources,
                    $model_card AS model_card,
                    $plugin_card AS plugin_card,
                    $resource_card AS resource_card
                FROM
                (
                    SELECT
                        *,
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
