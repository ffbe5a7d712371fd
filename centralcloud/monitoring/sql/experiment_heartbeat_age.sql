-- How long ago a daemon looked after the experiments, in seconds; null: never. One row, which is read whole.
SELECT extract(epoch FROM clock_timestamp() - seen_at)::double precision FROM public.experiment_heartbeat;
