-- The experiments of the configuration, each with how far its records are folded and what is known of its metrics. A row an
-- experiment: current_experiments is served by the primary key of configuration_entries, the rest by the primary keys of
-- experiment_progress and experiment_results (at most six metrics and one row more a treatment).
SELECT
    e.experiment_id AS id,
    e.body,
    clock_timestamp() AS now,
    p.began,
    p.folded_until,
    coalesce(p.late_dropped, 0) AS late_dropped,
    coalesce(r.results, '[]') AS results
FROM centralcloud.current_experiments() AS e
LEFT JOIN public.experiment_progress AS p USING (experiment_id)
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(treatment, metric, facts)) AS results
    FROM public.experiment_results WHERE experiment_id = p.experiment_id
) AS r ON true;
