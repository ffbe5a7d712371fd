-- The scores of task types that are published with the new versions of their pairs. Rows of other task types of these pairs do not
-- count any more: their pair_version is an older one. Served by the primary key.
INSERT INTO public.model_task_scores AS t (
    model_name, complexity_level, task_type, score, version, pair_version, based_on_samples, mean, n_eff, draw_n, probe_share,
    updated_at
)
SELECT
    model, complexity, task_type, score::numeric(4, 3), version, pair_version, samples, mean, n_eff, draw_n, probe_share, %(now)s
FROM unnest(
    %(models)s::varchar[], %(complexities)s::varchar[], %(task_types)s::varchar[], %(scores)s::float8[], %(versions)s::bigint[],
    %(pair_versions)s::bigint[], %(samples)s::bigint[], %(means)s::float8[], %(n_effs)s::float8[], %(draw_ns)s::float8[],
    %(probe_shares)s::float8[]
) AS new (
    model, complexity, task_type, score, version, pair_version, samples, mean, n_eff, draw_n, probe_share
)
ON CONFLICT (model_name, complexity_level, task_type) DO UPDATE SET
    score = excluded.score,
    version = excluded.version,
    pair_version = excluded.pair_version,
    based_on_samples = excluded.based_on_samples,
    mean = excluded.mean,
    n_eff = excluded.n_eff,
    draw_n = excluded.draw_n,
    probe_share = excluded.probe_share,
    updated_at = excluded.updated_at;
