CREATE OR REPLACE FUNCTION centralcloud.explain_request(request_id uuid, workspace text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by idx_routing_records_request_id, in each partition. The bound is for events with a made-up id: a
    -- request makes at most 20 attempts, with two events each.
    SELECT jsonb_build_object(
        'records', found.records,
        'plan', (SELECT p.plan FROM public.request_plans AS p WHERE p.request_id = explain_request.request_id),
        'feedback', (
            SELECT jsonb_build_object(
                'success', f.success, 'reward', f.reward, 'learned', f.learned, 'comment', f.comment, 'user_id', f.user_id,
                'timestamp', to_char(f.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            )
            FROM public.feedback AS f WHERE f.request_id = explain_request.request_id
        )
    )
    FROM (
        SELECT
            jsonb_agg(
                jsonb_strip_nulls(jsonb_build_object(
                    'timestamp', to_char(r.timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                    'instance_id', r.instance_id,
                    'decision_id', r.decision_id,
                    'attempt', r.attempt,
                    'outcome', r.outcome,
                    'model', r.model,
                    'provider', r.provider,
                    'model_version', r.model_version,
                    'error_kind', r.error_kind,
                    'response_time_ms', r.response_time_ms,
                    'first_token_ms', r.first_token_ms,
                    'input_tokens', r.input_tokens,
                    'output_tokens', r.output_tokens,
                    'cost_nano_usd', r.cost_nano_usd,
                    'cost_usd', r.cost_usd,
                    'finish_reason', r.finish_reason,
                    'reward', r.reward,
                    'score', r.score,
                    'score_version', r.score_version,
                    'propensity', r.propensity,
                    'complexity', r.complexity,
                    'complexity_level_10', r.complexity_level_10,
                    'task_type', r.task_type,
                    'agent_type', r.agent_type
                ) || jsonb_build_object(
                    'workspace', r.workspace,
                    'key_id', r.key_id,
                    'user_id', r.user_id,
                    'session', r.session,
                    'user_model_request', r.user_model_request,
                    'policy', r.policy,
                    'rule', r.rule,
                    'experiment', r.experiment,
                    'arm', r.arm,
                    'feedback_until',
                    to_char(r.feedback_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                    'feedback_outcome', r.extra -> 'feedback_outcome'
                ))
                ORDER BY r.attempt, r.id
            ) AS records,
            -- The decision of an attempt has the workspace; its outcome may come without.
            max(r.workspace) AS workspace
        FROM (
            SELECT * FROM public.routing_records AS one
            WHERE one.request_id = explain_request.request_id
            ORDER BY one.id LIMIT 100
        ) AS r
    ) AS found
    WHERE found.records IS NOT NULL
        AND (explain_request.workspace IS NULL OR found.workspace = explain_request.workspace)
$$;
COMMENT ON FUNCTION centralcloud.explain_request IS
    'the records, the plan and the feedback of a request; null: it is not ingested, or belongs to another workspace than the given one';
REVOKE ALL ON FUNCTION centralcloud.explain_request FROM PUBLIC;
