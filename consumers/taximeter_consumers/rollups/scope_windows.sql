-- All events of the touched windows. The second condition finds them by the index on occurred_at among all copies, and
-- turns them into stretches of id time, which all copies of an event share: so FINAL sees every copy that it must.
(account_id, $window) IN (SELECT account_id, $window FROM ($touched))
AND (account_id, toStartOfMinute(id_time)) IN (
    SELECT DISTINCT account_id, toStartOfMinute(id_time)
    FROM stored_events
    WHERE (account_id, $window) IN (SELECT account_id, $window FROM ($touched))
      AND $window IN (SELECT $window FROM ($touched))
)
