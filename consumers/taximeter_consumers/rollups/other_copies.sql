-- How many rows elsewhere are copies of events of the tick's batches.
SELECT count()
FROM stored_events
WHERE (account_id, id_time, event_id) IN (SELECT account_id, id_time, event_id FROM stored_events WHERE $rows)
  AND NOT ($rows)
