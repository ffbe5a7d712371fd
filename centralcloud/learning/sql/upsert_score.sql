-- The new published score of a pair, with a new version. Served by the primary key.
INSERT INTO public.model_scores AS s (
    model_name, complexity_level, score, version, reason, rule, run_id, confidence, based_on_samples, after_slice,
    evaluated_through_slice, evaluated_at, updated_at, window_start, mean, n_eff, draw_n, low, high, probe_share, latency_penalty,
    cost_penalty, evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable
) VALUES (
    %(model)s, %(complexity)s, %(score)s, nextval('public.model_score_version'), %(reason)s, %(rule)s, %(run_id)s,
    %(confidence)s, %(samples)s, %(after_slice)s, %(through_slice)s, %(now)s, %(now)s, %(window_start)s, %(mean)s,
    %(n_eff)s, %(draw_n)s, %(low)s, %(high)s, %(probe_share)s, %(latency_penalty)s, %(cost_penalty)s, %(evidence_from)s,
    %(earlier_boundaries)s, %(state_payload)s, %(excluded)s, %(recomputable)s
)
ON CONFLICT (model_name, complexity_level) DO UPDATE SET
    score = excluded.score,
    version = excluded.version,
    reason = excluded.reason,
    rule = excluded.rule,
    run_id = excluded.run_id,
    confidence = excluded.confidence,
    based_on_samples = excluded.based_on_samples,
    after_slice = excluded.after_slice,
    evaluated_through_slice = excluded.evaluated_through_slice,
    evaluated_at = excluded.evaluated_at,
    updated_at = excluded.updated_at,
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
    recomputable = excluded.recomputable
RETURNING version;
