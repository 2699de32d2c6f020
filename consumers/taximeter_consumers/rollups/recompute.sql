INSERT INTO $table ($columns, version)
SELECT $expressions, {version:UInt64}
FROM ($events) AS counted
WHERE ($only) AND $guard
GROUP BY $key
SETTINGS $settings
