-- A rollup summed by dimensions and time.
SELECT
    $keys
    sum(rollup.events) AS events,
    $sums
FROM $rollup AS rollup
WHERE $where
$groups
ORDER BY $order
LIMIT {limit:UInt64}
