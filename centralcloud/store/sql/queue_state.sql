-- Counts the messages in the queue by state. Reads the whole queue: about a second for ten million messages.
SELECT
    count(*) AS messages,
    count(*) FILTER (WHERE vt <= clock_timestamp()) AS visible,
    count(*) FILTER (WHERE vt > clock_timestamp() AND read_ct > 0) AS in_flight,
    count(*) FILTER (WHERE vt > clock_timestamp() AND read_ct = 0) AS delayed,
    extract(epoch FROM clock_timestamp() - min(enqueued_at))::double precision AS oldest_age_seconds,
    extract(epoch FROM clock_timestamp() - max(enqueued_at))::double precision AS newest_age_seconds,
    pg_total_relation_size('pgmq.q_model_routing_decisions') AS bytes_on_disk,
    coalesce(pg_stat_get_dead_tuples('pgmq.q_model_routing_decisions'::regclass), 0) AS dead_rows,
    -- A delay is not a wait. An attempt moves vt: from then on the age counts from the sending.
    extract(epoch FROM clock_timestamp() - min(CASE WHEN read_ct > 0 THEN enqueued_at ELSE greatest(enqueued_at, vt) END)
        FILTER (WHERE vt <= clock_timestamp() OR read_ct > 0))::double precision AS oldest_waiting_seconds,
    extract(epoch FROM min(vt) FILTER (WHERE vt > clock_timestamp() AND read_ct = 0) - clock_timestamp())::double precision
        AS first_delayed_seconds,
    extract(epoch FROM max(vt) FILTER (WHERE vt > clock_timestamp() AND read_ct = 0) - clock_timestamp())::double precision
        AS last_delayed_seconds
FROM pgmq.q_model_routing_decisions;
