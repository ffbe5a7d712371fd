-- The published score of every pair.
SELECT
    model_name AS model, complexity_level AS complexity, score, version, updated_at, reason, mean, n_eff, probe_share,
    -- By name: before revision 0027 there is no such column.
    (to_jsonb(s) ->> 'draw_n')::double precision AS draw_n
FROM centralcloud.current_scores() AS s;
