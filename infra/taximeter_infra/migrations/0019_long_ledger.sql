-- The ledger grows by some millions of rows a day under load, and every tick asks for the newest: by when they were
-- stored, which goes up with the offsets that the ledger is sorted by.
ALTER TABLE stored_ingest_batches {on_cluster} ADD INDEX IF NOT EXISTS stored_when stored_at TYPE minmax GRANULARITY 1;
ALTER TABLE stored_ingest_batches {on_cluster} MATERIALIZE INDEX stored_when;

-- What ticks have recorded lies in the order of ids, which are hashes: old and new side by side. So it is kept in the
-- order of time, too, of ticks, and their greatest by itself.
ALTER TABLE stored_rolled_up_batches {on_cluster} MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE stored_rolled_up_batches {on_cluster}
    ADD PROJECTION IF NOT EXISTS by_time (SELECT stored_at, batch_id, tick ORDER BY stored_at);
ALTER TABLE stored_rolled_up_batches {on_cluster}
    ADD PROJECTION IF NOT EXISTS by_tick (SELECT tick, stored_at ORDER BY tick);
ALTER TABLE stored_rolled_up_batches {on_cluster} ADD PROJECTION IF NOT EXISTS newest (SELECT max(tick));
ALTER TABLE stored_rolled_up_batches {on_cluster} MATERIALIZE PROJECTION by_time;
ALTER TABLE stored_rolled_up_batches {on_cluster} MATERIALIZE PROJECTION by_tick;
ALTER TABLE stored_rolled_up_batches {on_cluster} MATERIALIZE PROJECTION newest;
