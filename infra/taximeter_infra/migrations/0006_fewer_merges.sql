-- Rows that come in a stream of parts of like size are merged again and again on their way to large ones. With wider
-- merges each row is merged fewer times: measured, a million rows from a backlog cost the server a third less CPU.
-- Parts that rest are merged all the same, by their age.
ALTER TABLE stored_events {on_cluster} MODIFY SETTING merge_selector_base = 16;
