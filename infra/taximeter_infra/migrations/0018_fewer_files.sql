-- A part of an INSERT of the sink would be some 150 files, two for each column, and to make and remove them costs the
-- server more than a tenth of the whole INSERT. Up to this size a part keeps its columns in one file; what merges make
-- of them is larger and has a file for each again, so queries over much find what they found.
ALTER TABLE stored_events {on_cluster} MODIFY SETTING min_bytes_for_wide_part = 134217728;
