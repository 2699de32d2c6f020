-- Re-ratings end one after the other: each takes its place by an insert with a token, of which the engine keeps the first.
ALTER TABLE stored_reprices {on_cluster} MODIFY SETTING {deduplication_window} = 10000;
