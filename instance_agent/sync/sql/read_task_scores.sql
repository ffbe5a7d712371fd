-- The published scores of the task types of every pair, each with the version of its pair.
SELECT
    model_name AS model, complexity_level AS complexity, task_type, score, version, mean, n_eff, draw_n, probe_share
FROM centralcloud.current_task_scores();
