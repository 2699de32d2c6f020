-- Every event of a scope once, with what it costs: the twin of `cost_of` in price.py, held equal to it by test.
-- Quantities are Int128 and amounts Decimal of 76 digits, which no counter times no rate can overflow.
SELECT
    used.*,
    reported_cost IS NOT NULL AS has_reported,
    quality IN ('missing', 'unknown', '') AS is_unmeasured,
    price.model = ''
    OR (fresh_tokens != 0 AND isNull(price.input_rate))
    OR (cache_read_tokens != 0 AND isNull(price.cache_read_rate))
    OR (cache_write_tokens != 0 AND isNull(price.cache_write_rate))
    OR (output_tokens != 0 AND isNull(price.output_rate))
    OR (audio_ms != 0 AND isNull(price.audio_rate))
    OR (characters != 0 AND isNull(price.character_rate))
    OR (images != 0 AND isNull(price.image_rate)) AS lacks_price,
    multiIf(
        usage_type = '', toDecimal256(0, 18),
        has_reported, toDecimal256(ifNull(reported_cost, 0), 18),
        toDecimal256(fresh_tokens, 0) * ifNull(price.input_rate, 0)
        + toDecimal256(cache_read_tokens, 0) * ifNull(price.cache_read_rate, 0)
        + toDecimal256(cache_write_tokens, 0) * ifNull(price.cache_write_rate, 0)
        + toDecimal256(output_tokens, 0) * ifNull(price.output_rate, 0)
        + toDecimal256(audio_ms, 0) * ifNull(price.audio_rate, 0)
        + toDecimal256(characters, 0) * ifNull(price.character_rate, 0)
        + toDecimal256(images, 0) * ifNull(price.image_rate, 0)
    ) AS amount,
    multiIf(
        usage_type = '', 'none',
        NOT has_reported AND is_unmeasured, 'unmeasured',
        NOT has_reported AND lacks_price, 'unpriced',
        abs(amount) > 1000000000000, 'unmeasured',
        has_reported, 'reported',
        'priced'
    ) AS cost_source,
    if(cost_source IN ('reported', 'priced'), amount, toDecimal256(0, 18)) AS cost
FROM
(
    SELECT
        *,
        toInt128(input_tokens) - toInt128(cache_read_tokens) - toInt128(cache_write_tokens) AS remainder,
        if(kind = 'adjustment', remainder, greatest(remainder, toInt128(0))) AS fresh_tokens
    FROM stored_events FINAL
    WHERE $scope
) AS used
ASOF LEFT JOIN
(
    SELECT
        alias.provider AS provider,
        alias.model AS model,
        card.valid_from AS valid_from,
        if(mapContains(usd_per_unit, 'input_tokens'), usd_per_unit['input_tokens'], NULL) AS input_rate,
        if(mapContains(usd_per_unit, 'cache_read_tokens'), usd_per_unit['cache_read_tokens'], NULL) AS cache_read_rate,
        if(mapContains(usd_per_unit, 'cache_write_tokens'), usd_per_unit['cache_write_tokens'], NULL) AS cache_write_rate,
        if(mapContains(usd_per_unit, 'output_tokens'), usd_per_unit['output_tokens'], NULL) AS output_rate,
        if(mapContains(usd_per_unit, 'audio_ms'), usd_per_unit['audio_ms'], NULL) AS audio_rate,
        if(mapContains(usd_per_unit, 'characters'), usd_per_unit['characters'], NULL) AS character_rate,
        if(mapContains(usd_per_unit, 'images'), usd_per_unit['images'], NULL) AS image_rate
    FROM model_aliases AS alias
    INNER JOIN rate_cards AS card ON card.provider = alias.book_provider AND card.model = alias.book_model
) AS price
ON price.provider = used.provider AND price.model = used.model AND used.occurred_at >= price.valid_from
