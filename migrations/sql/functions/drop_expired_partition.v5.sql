CREATE OR REPLACE FUNCTION centralcloud.drop_expired_partition(keep interval)
RETURNS TABLE (partition_name text, record_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
-- Drops the oldest partition of routing_records if all of it is older than `keep`. In the same transaction, what its records
-- added to the lifetime counters and to the evidence is kept. Returns no row if there is nothing to drop, or if evidence is
-- still to be gathered from the partition.
-- Only the last step blocks ingest, and waits for it: some milliseconds, tried a few times for 100 ms.
DECLARE
    expired regclass;
    since timestamptz;
    until timestamptz;
    found bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('centralcloud.ensure_partitions'));
    SELECT c.oid::regclass, coalesce(bound.lower, '-infinity'), bound.upper INTO expired, since, until
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT
            substring(expression FROM $bound$FROM \('([^']+)'\)$bound$)::timestamptz AS lower,
            substring(expression FROM $bound$TO \('([^']+)'\)$bound$)::timestamptz AS upper
        FROM pg_get_expr(c.relpartbound, c.oid) AS expression
    ) AS bound
    WHERE i.inhparent = 'public.routing_records'::regclass AND bound.upper <= now() - keep
    ORDER BY bound.upper
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

    -- The bounds as constants, so that only this partition is read.
    EXECUTE format($sql$
        WITH record AS (
            SELECT * FROM public.evidence_of_records WHERE created_at >= %1$L AND created_at < %2$L
        ), newest AS (
            SELECT DISTINCT ON (model, complexity) model, complexity, score, msg_id
            FROM record ORDER BY model, complexity, msg_id DESC NULLS LAST
        ), delta AS (
            SELECT
                model, complexity,
                count(*) FILTER (WHERE routed),
                count(*) FILTER (WHERE success),
                count(*) FILTER (WHERE failure),
                count(*) FILTER (WHERE blameless),
                count(*) FILTER (WHERE first_of_decision),
                count(*) FILTER (WHERE decision_id IS NULL AND routed),
                count(*) FILTER (WHERE decision_id IS NULL AND NOT routed),
                count(response_time_ms),
                coalesce(sum(response_time_ms), 0),
                '{}'::integer[],
                min(newest.score),
                min(newest.msg_id),
                now()
            FROM record JOIN newest USING (model, complexity)
            GROUP BY model, complexity
        )
        SELECT centralcloud.add_dropped_metrics(array_agg(delta::centralcloud.metric_delta)) FROM delta
    $sql$, since, until);

    EXECUTE format($sql$
        WITH record AS (
            SELECT * FROM public.evidence_of_records WHERE created_at >= %1$L AND created_at < %2$L
        ), slice AS (  -- the slice that each record's slice has been merged into
            SELECT slice_no, (SELECT min(s.slice_no) FROM evidence_slices s WHERE s.slice_no >= used.slice_no) AS merged_into
            FROM (SELECT DISTINCT slice_no FROM record) AS used
        )
        INSERT INTO dropped_evidence AS d (
            slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
            response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd,
            capped_response_time_sum_ms, cost_count, capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
        )
        SELECT
            merged_into, model, complexity, provider, instance_id,
            count(*) FILTER (WHERE routed),
            count(*) FILTER (WHERE success),
            count(*) FILTER (WHERE failure),
            count(*) FILTER (WHERE blameless),
            count(timed_ms),
            coalesce(sum(timed_ms), 0),
            coalesce(sum(input_tokens), 0),
            coalesce(sum(output_tokens), 0),
            coalesce(sum(cost_usd), 0),
            coalesce(sum(least(timed_ms, latency_ref_ms)) FILTER (WHERE timed_ms IS NOT NULL), 0),
            count(priced_usd),
            coalesce(sum(least(priced_usd, cost_ref_usd)) FILTER (WHERE priced_usd IS NOT NULL), 0),
            count(*) FILTER (WHERE late),
            count(graded) FILTER (WHERE success),
            coalesce(sum(graded), 0),
            coalesce(sum(graded * graded), 0)
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
            late = d.late + excluded.late,
            graded_successes = d.graded_successes + excluded.graded_successes,
            graded_reward = d.graded_reward + excluded.graded_reward,
            graded_reward_squares = d.graded_reward_squares + excluded.graded_reward_squares
    $sql$, since, until);

    EXECUTE format($sql$
        WITH record AS (
            SELECT * FROM public.evidence_of_records
            WHERE created_at >= %1$L AND created_at < %2$L AND learned_task_type IS NOT NULL
        ), slice AS (
            SELECT slice_no, (SELECT min(s.slice_no) FROM public.evidence_slices s WHERE s.slice_no >= used.slice_no) AS merged_into
            FROM (SELECT DISTINCT slice_no FROM record) AS used
        )
        INSERT INTO public.dropped_task_evidence AS d (
            slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
            graded_reward_squares
        )
        SELECT
            merged_into, model, complexity, coalesce(task_no, 0), instance_id,
            count(*) FILTER (WHERE success),
            count(*) FILTER (WHERE failure),
            count(graded) FILTER (WHERE success),
            coalesce(sum(graded), 0),
            coalesce(sum(graded * graded), 0)
        FROM record JOIN slice USING (slice_no) JOIN public.evidence_slices merged ON merged.slice_no = merged_into
        LEFT JOIN public.task_types t ON t.name = learned_task_type
        WHERE merged.by_task_type
        GROUP BY merged_into, model, complexity, coalesce(task_no, 0), instance_id
        ON CONFLICT (model_name, complexity_level, slice_no, task_no, instance_id) DO UPDATE SET
            successes = d.successes + excluded.successes,
            failures = d.failures + excluded.failures,
            graded_successes = d.graded_successes + excluded.graded_successes,
            graded_reward = d.graded_reward + excluded.graded_reward,
            graded_reward_squares = d.graded_reward_squares + excluded.graded_reward_squares
    $sql$, since, until);

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
    -- Last: an ingest that holds this row must not be one that the step above has waited for.
    UPDATE public.accounting SET records_dropped = records_dropped + found;
    RETURN NEXT;
END
$$;
