-- When the daemon last looked after the experiments. One row.
SELECT seen_at FROM public.experiment_heartbeat;
