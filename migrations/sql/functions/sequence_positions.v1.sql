CREATE OR REPLACE FUNCTION centralcloud.sequence_positions(count_queue boolean DEFAULT false)
RETURNS TABLE (sequence_name text, table_name text, last_value bigint, newest bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
-- The last number that each sequence has given out (0: none yet), and the greatest one that the tables have, in the order in
-- which `repair_sequences` locks the tables. A sequence with less than its table is behind: it gives out numbers that are in
-- use. Index lookups, also in each partition, and small tables. With `count_queue` also the number of messages that were ever
-- sent: ids of messages that were sent meanwhile may be those of earlier ones.
    WITH newest (sequence_name, table_name, newest) AS (
        VALUES (
            pg_get_serial_sequence('pgmq.q_model_routing_decisions', 'msg_id'),
            'pgmq.q_model_routing_decisions',
            greatest(
                (SELECT max(msg_id) FROM pgmq.q_model_routing_decisions),
                (SELECT max(msg_id) FROM pgmq.a_model_routing_decisions),
                (SELECT max(greatest(msg_id, replayed_msg_id)) FROM (
                    SELECT msg_id, replayed_msg_id FROM public.dead_letters ORDER BY id DESC LIMIT 1000
                ) AS newest_letters),
                (SELECT max(last_reported_msg_id) FROM public.model_routing_metrics),
                (SELECT max(last_reported_msg_id) FROM public.dropped_metrics),
                (SELECT upper(handled) - 1 FROM public.message_ids WHERE NOT isempty(handled) ORDER BY block DESC LIMIT 1),
                (SELECT greatest(taken + purged, ids_tracked_after) FROM public.accounting),
                (
                    SELECT taken + purged + (SELECT count(*) FROM pgmq.q_model_routing_decisions)
                    FROM public.accounting WHERE count_queue
                )
            )
        ), (
            pg_get_serial_sequence('public.dead_letters', 'id'), 'public.dead_letters',
            (SELECT max(id) FROM public.dead_letters)
        ), (
            pg_get_serial_sequence('public.routing_records', 'id'), 'public.routing_records',
            greatest(
                (SELECT max(id) FROM public.routing_records),
                (SELECT after_record_id FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1)
            )
        ), (
            pg_get_serial_sequence('public.model_routing_metrics', 'id'), 'public.model_routing_metrics',
            (SELECT max(id) FROM public.model_routing_metrics)
        ), (
            pg_get_serial_sequence('public.ingest_workers', 'worker_id'), 'public.ingest_workers',
            (SELECT max(worker_id) FROM public.ingest_workers)
        ), (
            'public.model_score_version', 'public.model_scores',
            greatest(
                (SELECT max(version) FROM public.model_scores), (SELECT max(version) FROM public.model_score_history)
            )
        ), (
            pg_get_serial_sequence('public.learning_runs', 'run_id'), 'public.learning_runs',
            greatest(
                (SELECT max(run_id) FROM public.learning_runs),
                (SELECT max(run_id) FROM public.model_scores),
                (SELECT max(run_id) FROM public.rule_scores)
            )
        ), (
            pg_get_serial_sequence('public.findings', 'finding_id'), 'public.findings',
            (SELECT max(finding_id) FROM public.findings)
        ), (
            pg_get_serial_sequence('pgmq.q_model_score_updates', 'msg_id'), 'pgmq.q_model_score_updates',
            greatest(
                (SELECT max(msg_id) FROM pgmq.q_model_score_updates), (SELECT max(msg_id) FROM pgmq.a_model_score_updates)
            )
        ), (
            pg_get_serial_sequence('public.operator_actions', 'id'), 'public.operator_actions',
            (SELECT max(id) FROM public.operator_actions)
        )
    )
    SELECT
        newest.sequence_name,
        newest.table_name,
        coalesce(pg_sequence_last_value(newest.sequence_name::regclass), 0),
        coalesce(newest.newest, 0)
    FROM newest
$$;

COMMENT ON FUNCTION centralcloud.sequence_positions IS 'the last number that each sequence has given out, and the greatest one that its table has; a copy of the tables without the sequences leaves them behind';
