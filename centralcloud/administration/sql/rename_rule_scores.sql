-- If both names have a score of a rule, that of the new name stays. Served by the primary key, rule by rule.
WITH gone AS (
    DELETE FROM public.rule_scores WHERE model_name = %(old)s RETURNING *
)
INSERT INTO public.rule_scores (
    rule, model_name, complexity_level, score, kind, reason, confidence, based_on_samples, success_rate, avg_response_time,
    after_slice, through_slice, window_start, mean, n_eff, draw_n, low, high, probe_share, latency_penalty, cost_penalty,
    evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable, run_id, evaluated_at, task_types
)
SELECT
    rule, %(new)s, complexity_level, score, kind, reason, confidence, based_on_samples, success_rate, avg_response_time,
    after_slice, through_slice, window_start, mean, n_eff, draw_n, low, high, probe_share, latency_penalty, cost_penalty,
    evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable, run_id, evaluated_at, task_types
FROM gone
ON CONFLICT DO NOTHING;
