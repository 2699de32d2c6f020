-- Version 2 of the event: the service tier of a call, and counts of units that have no column of their own. Counts are
-- subsets of the token counters (cache writes that last an hour, audio tokens) or units beside them (web searches).
ALTER TABLE stored_events {on_cluster}
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String)
        COMMENT 'standard, batch, flex, priority, ...; empty where it is not known, which is priced as standard'
        AFTER quality,
    ADD COLUMN IF NOT EXISTS ai_units Map(LowCardinality(String), Int64)
        COMMENT 'further counts of a call: cache_write_1h_tokens, input_audio_tokens, web_searches, requests, ...'
        AFTER service_tier;

ALTER TABLE trial_events {on_cluster}
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String) AFTER quality,
    ADD COLUMN IF NOT EXISTS ai_units Map(LowCardinality(String), Int64) AFTER service_tier;

CREATE OR REPLACE VIEW events {on_cluster} AS SELECT * EXCEPT (version) FROM stored_events FINAL;
