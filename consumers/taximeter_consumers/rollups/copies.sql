-- The rows of the tick's batches, and every other copy of their events: a copy that is no longer the one that counts may
-- have been counted under another run, hour or minute.
SELECT account_id, run_id, id_time, occurred_at
FROM stored_events
WHERE (account_id, id_time, event_id) IN (SELECT account_id, id_time, event_id FROM stored_events WHERE $rows)
