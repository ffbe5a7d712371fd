CREATE OR REPLACE FUNCTION centralcloud.queue_summary(
    OUT messages bigint, OUT capped boolean, OUT visible bigint, OUT in_flight bigint, OUT delayed bigint,
    OUT oldest_age_seconds double precision, OUT oldest_waiting_seconds double precision, OUT bytes_on_disk bigint
)
-- Without a sort there is one plan, also for a session that planned when the queue was empty.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off
AS $$
-- The oldest 100,000 messages by the primary key, and no more: the cost has a bound, however full the queue is, and a queue that was
-- emptied does not cost its dead pages. The ids follow the times of sending, so the oldest message is among them.
SELECT
    least(count(*), 100000),
    count(*) > 100000,
    least(count(*) FILTER (WHERE oldest.vt <= clock.now), 100000),
    least(count(*) FILTER (WHERE oldest.vt > clock.now AND oldest.read_ct > 0), 100000),
    least(count(*) FILTER (WHERE oldest.vt > clock.now AND oldest.read_ct = 0), 100000),
    extract(epoch FROM min(clock.now) - min(oldest.enqueued_at))::double precision,
    -- A delay is not a wait. An attempt moves vt: from then on the age counts from the sending.
    extract(epoch FROM min(clock.now) - min(
        CASE WHEN oldest.read_ct > 0 THEN oldest.enqueued_at ELSE greatest(oldest.enqueued_at, oldest.vt) END
    ) FILTER (WHERE oldest.vt <= clock.now OR oldest.read_ct > 0))::double precision,
    pg_total_relation_size('pgmq.q_model_routing_decisions')
FROM (SELECT clock_timestamp() AS now) AS clock
CROSS JOIN (
    SELECT q.vt, q.read_ct, q.enqueued_at FROM pgmq.q_model_routing_decisions AS q ORDER BY q.msg_id LIMIT 100001
) AS oldest
$$;
COMMENT ON FUNCTION centralcloud.queue_summary IS
    'the queue of routing events in numbers: its oldest 100,000 messages by state (capped: there are more), how old the oldest is, and how long the oldest that is not delayed has waited';
