-- Rows of the scope that this tick did not write: none of their events counts any more. They become rows of nothing,
-- which the views leave out.
INSERT INTO $table ($key_columns, version)
SELECT $key_columns, {version:UInt64}
FROM $table FINAL
WHERE version < {version:UInt64} AND events > 0 AND ($scope)
SETTINGS $settings
