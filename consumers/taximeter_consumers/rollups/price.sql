INSERT INTO stored_tick_events (tick_id, $columns)
SELECT {tick_id:UInt64}, $expressions
FROM ($events) AS charged
WHERE $guard
LIMIT $most_rows
SETTINGS $settings
