-- The new score of a rule for a pair, and what the rule remembers of the pair. Served by the primary key.
INSERT INTO public.rule_scores AS r (
    rule, model_name, complexity_level, score, kind, reason, confidence, based_on_samples, success_rate, avg_response_time,
    after_slice, through_slice, window_start, mean, n_eff, draw_n, low, high, probe_share, latency_penalty, cost_penalty,
    evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable, run_id, evaluated_at, task_types
) VALUES (
    %(rule)s, %(model)s, %(complexity)s, %(score)s, %(kind)s, %(reason)s, %(confidence)s, %(samples)s, %(success_rate)s,
    %(avg_response_time_ms)s, %(after_slice)s, %(through_slice)s, %(window_start)s, %(mean)s, %(n_eff)s, %(draw_n)s, %(low)s, %(high)s,
    %(probe_share)s, %(latency_penalty)s, %(cost_penalty)s, %(evidence_from)s, %(earlier_boundaries)s, %(state_payload)s,
    %(excluded)s, true, %(run_id)s, %(now)s, %(task_types)s
)
ON CONFLICT (rule, model_name, complexity_level) DO UPDATE SET
    score = excluded.score,
    kind = excluded.kind,
    reason = excluded.reason,
    confidence = excluded.confidence,
    based_on_samples = excluded.based_on_samples,
    success_rate = excluded.success_rate,
    avg_response_time = excluded.avg_response_time,
    after_slice = excluded.after_slice,
    through_slice = excluded.through_slice,
    window_start = excluded.window_start,
    mean = excluded.mean,
    n_eff = excluded.n_eff,
    draw_n = excluded.draw_n,
    low = excluded.low,
    high = excluded.high,
    probe_share = excluded.probe_share,
    latency_penalty = excluded.latency_penalty,
    cost_penalty = excluded.cost_penalty,
    evidence_from = excluded.evidence_from,
    earlier_boundaries = excluded.earlier_boundaries,
    state_payload = excluded.state_payload,
    excluded_instances = excluded.excluded_instances,
    recomputable = excluded.recomputable,
    run_id = excluded.run_id,
    evaluated_at = excluded.evaluated_at,
    task_types = excluded.task_types;
