CREATE OR REPLACE FUNCTION centralcloud.start_score_canary(
    experiment_id text, body jsonb, who text, source text, reason text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- For workers, which may not see the rest of the configuration, keys included: they add an experiment with scores of the learner,
-- and nothing else. One is open at a time for each rule. The rule's earlier ones are removed, in a version of their own, but for
-- those of the last 30 days that have judged a pair which this one does not judge: what they have withdrawn stays withdrawn.
DECLARE
    current_version bigint := centralcloud.lock_configuration();
    rule text := start_score_canary.body ->> 'learnedBy';
    earlier jsonb;
    found text;
BEGIN
    IF rule IS NULL OR start_score_canary.body ->> 'id' IS DISTINCT FROM start_score_canary.experiment_id
        OR jsonb_typeof(start_score_canary.body -> 'treatments') IS DISTINCT FROM 'array'
        OR EXISTS (
            SELECT FROM jsonb_array_elements(start_score_canary.body -> 'treatments') AS treatment
            WHERE treatment ->> 'model' IS NOT NULL OR treatment ->> 'policy' IS NOT NULL
        )
    THEN
        RAISE EXCEPTION 'body: expected an experiment with the id %, with learnedBy, and with score tables only',
            coalesce(quote_literal(start_score_canary.experiment_id), 'NULL')
            USING ERRCODE = '22023';
    END IF;
    -- Served by the primary key.
    SELECT entry.id INTO found
    FROM public.configuration_entries AS entry
    WHERE entry.kind = 'experiment' AND entry.body IS NOT NULL
        AND (entry.id = start_score_canary.experiment_id
            OR (entry.body ->> 'learnedBy' = rule AND entry.body #>> '{stage,status}' IN ('running', 'paused')))
    LIMIT 1;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'experiment_id: found %, expected no other experiment that is open and judges scores of %', found, rule
            USING ERRCODE = 'CC409';
    END IF;
    SELECT jsonb_agg(jsonb_build_object('kind', 'experiment', 'id', entry.id, 'body', NULL)) INTO earlier
    FROM public.configuration_entries AS entry
    WHERE entry.kind = 'experiment' AND entry.body ->> 'learnedBy' = rule
        AND NOT EXISTS (
            SELECT FROM jsonb_path_query(entry.body, '$.treatments[*].scoreTable[*]') AS judged
            WHERE entry.body #>> '{stage,status}' <> 'promoted'
                AND (entry.body #>> '{stage,since}')::timestamptz > now() - interval '30 days'
                AND NOT EXISTS (
                    SELECT FROM jsonb_path_query(start_score_canary.body, '$.treatments[*].scoreTable[*]') AS score
                    WHERE score ->> 'modelId' = judged ->> 'modelId' AND score ->> 'complexity' = judged ->> 'complexity'
                )
        );
    IF earlier IS NOT NULL THEN
        current_version := centralcloud.write_configuration(
            current_version, earlier, start_score_canary.who, 'daemon', start_score_canary.source,
            'followed by ' || start_score_canary.experiment_id
        );
    END IF;
    RETURN centralcloud.write_configuration(
        current_version,
        jsonb_build_array(jsonb_build_object(
            'kind', 'experiment', 'id', start_score_canary.experiment_id, 'body', start_score_canary.body
        )),
        start_score_canary.who, 'daemon', start_score_canary.source, start_score_canary.reason
    );
END
$$;
COMMENT ON FUNCTION centralcloud.start_score_canary IS
    'adds an experiment that judges scores of the learner, and removes the rule''s earlier ones; returns the version of the configuration; SQLSTATE CC409 while one of the rule is open. The caller validates it: readers refuse what they cannot use';
