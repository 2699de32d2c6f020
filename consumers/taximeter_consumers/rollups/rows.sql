-- The rows of the tick's batches.
SELECT account_id, run_id, id_time, occurred_at FROM stored_events WHERE $rows
