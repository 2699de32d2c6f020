-- All events of the touched runs. Where a run's events lie is known from three sides: its stored rollup, the rows of
-- this tick, and all rows that arrived since the first batch that is not rolled up. The last one is for two aggregators
-- at once: what the other one has taken but not finished is looked for as well.
(account_id, run_id) IN (SELECT account_id, run_id FROM ($touched))
AND (account_id, toStartOfMinute(id_time)) IN (
    SELECT account_id, toDateTime(arrayJoin(range(toUInt32(toStartOfMinute(begins)), toUInt32(ends) + 1, 60)), 'UTC')
    FROM (
        SELECT account_id, min(begins) AS begins, max(ends) AS ends
        FROM (
            SELECT account_id, run_id, id_time AS begins, id_time AS ends FROM ($touched)
            UNION ALL
            SELECT account_id, run_id, id_time, id_time FROM stored_events
            WHERE arrived_at >= fromUnixTimestamp64Milli({pending_from:Int64}, 'UTC')
              AND (account_id, run_id) IN (SELECT account_id, run_id FROM ($touched))
            UNION ALL
            SELECT account_id, run_id, first_id_time, last_id_time FROM stored_run_costs
            WHERE events > 0 AND (account_id, run_id) IN (SELECT account_id, run_id FROM ($touched))
        )
        GROUP BY account_id, run_id
    )
)
