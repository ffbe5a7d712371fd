-- Adds a batch to the lifetime counters, by the function that does it everywhere. The keys are sorted. The columns are JSON
-- arrays, which the client encodes twenty times as fast as PostgreSQL arrays.
SELECT centralcloud.add_metrics(array_agg(ROW(
    model, complexity, routed::bigint, successes::bigint, failures::bigint, blameless::bigint, linked_decisions::bigint,
    unlinked_routed::bigint, unlinked_resolved::bigint, times::bigint, times_sum::bigint, newest_times::integer[],
    score::double precision, msg_id::bigint, now()
)::centralcloud.metric_delta))
FROM ROWS FROM (
    json_array_elements_text(%(model)s),
    json_array_elements_text(%(complexity)s),
    json_array_elements_text(%(routed)s),
    json_array_elements_text(%(successes)s),
    json_array_elements_text(%(failures)s),
    json_array_elements_text(%(blameless)s),
    json_array_elements_text(%(linked_decisions)s),
    json_array_elements_text(%(unlinked_routed)s),
    json_array_elements_text(%(unlinked_resolved)s),
    json_array_elements_text(%(times)s),
    json_array_elements_text(%(times_sum)s),
    json_array_elements_text(%(newest_times)s),
    json_array_elements_text(%(score)s),
    json_array_elements_text(%(msg_id)s)
) AS batch (
    model, complexity, routed, successes, failures, blameless, linked_decisions, unlinked_routed, unlinked_resolved,
    times, times_sum, newest_times, score, msg_id
);
