-- Rows of the scope that this tick did not write: none of their events counts any more. They become rows of nothing,
-- which the views leave out. A tick writes all rows of a run or window at once, so where another one with a greater
-- version has been, the rows that it did not write are stale as well, although this tick has just written them.
INSERT INTO $table ($key_columns, version)
SELECT $key_columns, newest
FROM
(
    SELECT $key_columns, version, events, greatest(max(version) OVER ($together), {version:UInt64}) AS newest
    FROM $table FINAL
    WHERE $scope
)
WHERE version < newest AND events > 0
SETTINGS $settings
