-- Batches of one log that overlap belong to one island; one that overlaps nothing is an island of its own.
-- Counted are only the batches that the tiling counted: from each partition's begin on, up to its committed offset.
WITH
    mapFromArrays({partitions:Array(Int32)}, {begins:Array(Int64)}) AS begins,
    mapFromArrays({partitions:Array(Int32)}, {ends:Array(Int64)}) AS ends,
    batches AS
    (
        SELECT
            kafka_partition, first_offset, last_offset, batch_id, records, stored,
            max(last_offset) OVER
            (
                PARTITION BY kafka_partition ORDER BY first_offset, last_offset, batch_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reached
        FROM ingest_batches
        WHERE /* log */ AND mapContains(ends, kafka_partition)
            AND first_offset < ends[kafka_partition] AND last_offset >= begins[kafka_partition]
    ),
    numbered AS
    (
        SELECT
            *,
            sum(first_offset > reached) OVER
            (
                PARTITION BY kafka_partition ORDER BY first_offset, last_offset, batch_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS island
        FROM batches
    ),
    islands AS
    (
        SELECT
            kafka_partition AS part, min(first_offset) AS begins_at, max(last_offset) AS ends_at, count() AS members,
            sum(stored) AS stored_in_all, max(stored) AS stored_at_least,
            min(records = last_offset - first_offset + 1) AS dense
        FROM numbered
        GROUP BY kafka_partition, island
    )
