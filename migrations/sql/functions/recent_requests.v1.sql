CREATE OR REPLACE FUNCTION centralcloud.recent_requests(most integer DEFAULT 100, of_workspace text DEFAULT NULL)
RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- The first attempts are found by the primary key of each partition from the newest record back, among a bounded number of
-- records, or by idx_routing_records_workspace; the rest of each request by idx_routing_records_request_id.
DECLARE
    newest bigint;
    first record;
BEGIN
    most := least(greatest(most, 0), 1000);
    IF of_workspace IS NULL THEN
        SELECT r.id INTO newest FROM public.routing_records AS r ORDER BY r.id DESC LIMIT 1;
    END IF;
    FOR first IN EXECUTE
        'SELECT r.request_id FROM public.routing_records AS r WHERE r.attempt = 1 AND r.outcome = ''routed'' AND r.request_id IS NOT NULL'
        || CASE WHEN of_workspace IS NULL THEN ' AND r.id > $1' ELSE ' AND r.workspace = $2' END
        || ' ORDER BY r.id DESC LIMIT $3'
        USING newest - 200000, of_workspace, most
    LOOP
        RETURN QUERY
        SELECT jsonb_strip_nulls(jsonb_build_object(
            'requestId', first.request_id,
            'timestamp', to_char(min(r.timestamp) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'modelId', (array_agg(r.model ORDER BY r.attempt DESC, r.id DESC))[1],
            'provider', (array_agg(r.provider ORDER BY r.attempt DESC, r.id DESC))[1],
            'workspaceId', max(r.workspace),
            'keyId', max(r.key_id),
            'agentType', max(r.agent_type),
            'taskType', max(r.task_type),
            'policy', max(r.policy),
            'rule', max(r.rule),
            'worker', max(r.worker),
            'taskId', max(r.task_id),
            'attempts', max(r.attempt),
            'status', coalesce(
                (array_agg(r.outcome ORDER BY r.attempt DESC, r.id DESC) FILTER (WHERE r.outcome <> 'routed'))[1], 'no_outcome'
            ),
            'errorKind', (array_agg(r.error_kind ORDER BY r.attempt DESC, r.id DESC) FILTER (WHERE r.outcome <> 'routed'))[1],
            'latency', sum(r.response_time_ms),
            'promptTokens', sum(r.input_tokens),
            'completionTokens', sum(r.output_tokens),
            'costNanoUsd', sum(coalesce(r.cost_nano_usd, round(r.cost_usd::numeric * 1000000000)))
        ))
        FROM (
            SELECT * FROM public.routing_records AS one WHERE one.request_id = first.request_id ORDER BY one.id LIMIT 100
        ) AS r;
    END LOOP;
END
$$;
COMMENT ON FUNCTION centralcloud.recent_requests IS
    'the newest requests of gateways, at most 1,000: of a workspace, or of all among the newest 200,000 records';
