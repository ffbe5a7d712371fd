-- The published score of every task type of every pair, and how far it is from that of its pair. Served by primary keys; reads both
-- tables.
SELECT
    t.model_name AS model,
    t.complexity_level AS complexity,
    t.task_type,
    t.score::double precision AS score,
    (t.score - s.score)::double precision AS difference,
    t.based_on_samples AS outcomes,
    t.mean,
    t.n_eff,
    t.draw_n,
    t.probe_share,
    t.version
FROM public.model_task_scores t
JOIN public.model_scores s
    ON s.model_name = t.model_name AND s.complexity_level = t.complexity_level AND s.version = t.pair_version
ORDER BY t.task_type COLLATE "C", t.complexity_level COLLATE "C", t.score DESC, t.model_name COLLATE "C";
