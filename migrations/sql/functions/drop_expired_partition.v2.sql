-- As migrations 0003 (the body) and 0004 (SECURITY DEFINER) left it.
CREATE OR REPLACE FUNCTION centralcloud.drop_expired_partition(keep interval)
RETURNS TABLE (partition_name text, record_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
-- Drops the oldest partition of routing_records when all of it is older than `keep`. What its records had added to the
-- lifetime counters and to the evidence is kept, in the same transaction. Returns no row when there is nothing to drop, or
-- when evidence is still to be gathered from it.
-- Ingest is in the way of, and waits for, the last step alone: some milliseconds, tried a few times for 100 ms.
DECLARE
    expired regclass;
    found bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('centralcloud.ensure_partitions'));
    SELECT c.oid::regclass INTO expired
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM $bound$TO \('([^']+)'\)$bound$)::timestamptz AS at
    ) AS upper_bound
    WHERE i.inhparent = 'public.routing_records'::regclass AND upper_bound.at <= now() - keep
    ORDER BY upper_bound.at
    LIMIT 1;
    IF expired IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM %s WHERE slice_no >= (SELECT min(slice_no) FROM evidence_slices WHERE gathered_at IS NULL)',
        expired
    ) INTO found;
    IF found > 0 THEN
        RETURN;
    END IF;

    EXECUTE format($sql$
        WITH record AS (
            SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless FROM %1$s
        ), newest AS (
            SELECT DISTINCT ON (model, complexity) model, complexity, score, msg_id
            FROM record ORDER BY model, complexity, msg_id DESC NULLS LAST
        )
        INSERT INTO dropped_metrics AS d (
            model_name, complexity_level, routed_count, success_count, failure_count, blameless_count,
            linked_decision_count, unlinked_routed_count, unlinked_resolved_count, response_time_count,
            response_time_sum_ms, last_reported_score, last_reported_msg_id
        )
        SELECT
            model, complexity,
            count(*) FILTER (WHERE outcome = 'routed'),
            count(*) FILTER (WHERE outcome = 'success'),
            count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless),
            count(*) FILTER (WHERE blameless),
            count(*) FILTER (WHERE first_of_decision),
            count(*) FILTER (WHERE decision_id IS NULL AND outcome = 'routed'),
            count(*) FILTER (WHERE decision_id IS NULL AND outcome <> 'routed'),
            count(response_time_ms),
            coalesce(sum(response_time_ms), 0),
            min(newest.score),
            min(newest.msg_id)
        FROM record JOIN newest USING (model, complexity)
        GROUP BY model, complexity
        ON CONFLICT (model_name, complexity_level) DO UPDATE SET
            routed_count = d.routed_count + excluded.routed_count,
            success_count = d.success_count + excluded.success_count,
            failure_count = d.failure_count + excluded.failure_count,
            blameless_count = d.blameless_count + excluded.blameless_count,
            linked_decision_count = d.linked_decision_count + excluded.linked_decision_count,
            unlinked_routed_count = d.unlinked_routed_count + excluded.unlinked_routed_count,
            unlinked_resolved_count = d.unlinked_resolved_count + excluded.unlinked_resolved_count,
            response_time_count = d.response_time_count + excluded.response_time_count,
            response_time_sum_ms = d.response_time_sum_ms + excluded.response_time_sum_ms,
            last_reported_score = CASE
                WHEN excluded.last_reported_msg_id > d.last_reported_msg_id OR d.last_reported_msg_id IS NULL
                THEN excluded.last_reported_score ELSE d.last_reported_score
            END,
            last_reported_msg_id = greatest(d.last_reported_msg_id, excluded.last_reported_msg_id)
    $sql$, expired);

    EXECUTE format($sql$
        WITH slice AS (  -- the slice that each record's slice has been merged into
            SELECT slice_no, (SELECT min(s.slice_no) FROM evidence_slices s WHERE s.slice_no >= used.slice_no) AS merged_into
            FROM (SELECT DISTINCT slice_no FROM %1$s) AS used
        ), record AS (
            SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless FROM %1$s
        )
        INSERT INTO dropped_evidence AS d (
            slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
            response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd,
            capped_response_time_sum_ms, cost_count, capped_cost_sum_usd, late
        )
        SELECT
            merged_into, model, complexity, provider, instance_id,
            count(*) FILTER (WHERE outcome = 'routed'),
            count(*) FILTER (WHERE outcome = 'success'),
            count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless),
            count(*) FILTER (WHERE blameless),
            count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless),
            coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0),
            coalesce(sum(input_tokens), 0),
            coalesce(sum(output_tokens), 0),
            coalesce(sum(cost_usd), 0),
            coalesce(sum(least(response_time_ms, latency_ref_ms)) FILTER (
                WHERE outcome <> 'routed' AND NOT blameless AND response_time_ms IS NOT NULL
            ), 0),
            count(cost_usd) FILTER (WHERE outcome <> 'routed' AND NOT blameless),
            coalesce(sum(least(cost_usd, cost_ref_usd)) FILTER (
                WHERE outcome <> 'routed' AND NOT blameless AND cost_usd IS NOT NULL
            ), 0),
            count(*) FILTER (
                WHERE outcome <> 'routed' AND NOT blameless AND created_at - timestamp > interval '1 hour'
            )
        FROM record JOIN slice USING (slice_no) JOIN evidence_slices merged ON merged.slice_no = merged_into
        GROUP BY merged_into, model, complexity, provider, instance_id
        ON CONFLICT (model_name, complexity_level, slice_no, provider, instance_id) DO UPDATE SET
            routed = d.routed + excluded.routed,
            successes = d.successes + excluded.successes,
            failures = d.failures + excluded.failures,
            blameless = d.blameless + excluded.blameless,
            response_time_count = d.response_time_count + excluded.response_time_count,
            response_time_sum_ms = d.response_time_sum_ms + excluded.response_time_sum_ms,
            input_tokens = d.input_tokens + excluded.input_tokens,
            output_tokens = d.output_tokens + excluded.output_tokens,
            cost_usd = d.cost_usd + excluded.cost_usd,
            capped_response_time_sum_ms = d.capped_response_time_sum_ms + excluded.capped_response_time_sum_ms,
            cost_count = d.cost_count + excluded.cost_count,
            capped_cost_sum_usd = d.capped_cost_sum_usd + excluded.capped_cost_sum_usd,
            late = d.late + excluded.late
    $sql$, expired);

    EXECUTE format('SELECT count(*) FROM %s', expired) INTO found;
    partition_name := expired::text;
    record_count := found;
    SET LOCAL lock_timeout = '100ms';
    FOR attempt IN 1..5 LOOP
        BEGIN
            EXECUTE format('ALTER TABLE public.routing_records DETACH PARTITION %s', expired);
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 5 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.2 + random() * 0.3);
        END;
    END LOOP;
    EXECUTE format('DROP TABLE %s', expired);
    -- Only now: an ingest that holds this row must not be one that we have been waiting for.
    UPDATE public.accounting SET records_dropped = records_dropped + found;
    RETURN NEXT;
END
$$;
