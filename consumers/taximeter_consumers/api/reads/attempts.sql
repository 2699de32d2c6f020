-- The attempts of some runs of an account: what their events used and cost, by the book of the rollups.
SELECT
    run_id, node_id, attempt,
    count() AS events,
    argMax(outcome, (executions, id_time, event_id)) AS outcome,
    argMax(agent_name, (executions, id_time, event_id)) AS agent_name,
    argMax(error_message, (error_message != '', executions, id_time, event_id)) AS error_message,
    argMax(breach_reason, (breach_reason != '', executions, id_time, event_id)) AS breach_reason,
    fromUnixTimestamp64Micro(min(greatest(toUnixTimestamp64Micro(occurred_at) - greatest(duration_us, 0), 0)), 'UTC') AS started_at,
    max(occurred_at) AS ended_at,
    arraySort(groupUniqArrayIf(100)((toString(provider), toString(model)), usage_type != '')) AS models,
    groupUniqArrayIf(toString(quality), usage_type != '') AS qualities,
    $measures
FROM ($events) AS charged
GROUP BY run_id, node_id, attempt
ORDER BY started_at, run_id, node_id, attempt
LIMIT {limit:UInt64}
SETTINGS $settings
