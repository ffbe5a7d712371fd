CREATE OR REPLACE FUNCTION centralcloud.current_task_scores()
RETURNS TABLE (
    model_name varchar, complexity_level varchar, task_type varchar, score numeric, version bigint, pair_version bigint,
    mean double precision, n_eff double precision, draw_n double precision, probe_share double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        t.model_name, t.complexity_level, t.task_type, t.score, t.version, t.pair_version, t.mean, t.n_eff, t.draw_n, t.probe_share
    FROM public.model_task_scores t
    JOIN public.model_scores s
        ON s.model_name = t.model_name AND s.complexity_level = t.complexity_level AND s.version = t.pair_version
$$;
COMMENT ON FUNCTION centralcloud.current_task_scores IS 'every learned score of a task type: what an instance reads beside current_scores()';
