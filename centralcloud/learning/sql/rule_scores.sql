-- What every rule thinks of every pair, and what it remembers of it. One row a rule and pair.
SELECT
    rule,
    model_name AS model,
    complexity_level AS complexity,
    score,
    kind,
    reason,
    confidence,
    based_on_samples AS samples,
    success_rate,
    avg_response_time AS avg_response_time_ms,
    after_slice,
    through_slice,
    window_start,
    mean,
    n_eff,
    low,
    high,
    probe_share,
    latency_penalty,
    cost_penalty,
    state
FROM rule_scores;
