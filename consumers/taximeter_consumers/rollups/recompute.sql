INSERT INTO $table ($columns, version)
SELECT $expressions, {version:UInt64}
FROM ($charged_events) AS charged_events
WHERE $only
GROUP BY $key
SETTINGS $settings
