-- Single figures over whole tables. Open dead letters are counted in the whole table; outcomes are served by
-- idx_evidence_slice_no, over the slices of the newest hour.
SELECT
    (SELECT count(*) FROM public.dead_letters WHERE resolution IS NULL)::double precision AS dead_letters_open,
    (
        SELECT sum(e.successes)::double precision / nullif(sum(e.successes + e.failures), 0)
        FROM public.evidence e
        WHERE e.slice_no > (SELECT coalesce(max(slice_no), 0) FROM public.evidence_slices WHERE closed_at < now() - interval '1 hour')
    ) AS success_rate,
    (
        SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::double precision
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            AND datname = current_database()
    ) AS oldest_snapshot_age_seconds;
