-- Begins to fold an experiment; no row if another daemon has begun. The records since it began are read backwards, by the primary
-- key of each partition.
INSERT INTO public.experiment_progress (experiment_id, began, folded_until, prompted_id, step, retries, state)
VALUES (
    %(experiment_id)s, %(began)s, %(folded_until)s,
    coalesce((
        SELECT id FROM public.routing_records
        WHERE created_at < %(began)s::timestamptz ORDER BY id DESC LIMIT 1
    ), 0),
    %(step)s, %(retries)s, %(state)s
)
ON CONFLICT DO NOTHING;
