-- When the daemon looked after the experiments last; null: never. One row.
SELECT seen_at FROM public.experiment_heartbeat;
