-- A score that was published, for ever.
INSERT INTO public.model_score_history (
    version, model_name, complexity_level, old_score, new_score, reason, rule, run_id, confidence, based_on_samples,
    success_rate, avg_response_time, after_slice, through_slice, kind, window_start, mean, n_eff, draw_n, low, high, probe_share,
    latency_penalty, cost_penalty, created_at
) VALUES (
    %(version)s, %(model)s, %(complexity)s, %(old_score)s, %(score)s, %(reason)s, %(rule)s, %(run_id)s, %(confidence)s,
    %(samples)s, %(success_rate)s, %(avg_response_time_ms)s, %(after_slice)s, %(through_slice)s, %(kind)s,
    %(window_start)s, %(mean)s, %(n_eff)s, %(draw_n)s, %(low)s, %(high)s, %(probe_share)s, %(latency_penalty)s, %(cost_penalty)s,
    %(now)s
);
