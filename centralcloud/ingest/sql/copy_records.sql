-- The columns up to extra are the fields of a RoutingEvent, in its order. created_at is left to its default, the start of the
-- transaction: it decides the partition.
COPY routing_records (
    timestamp, instance_id, complexity, model, provider, score, outcome, response_time_ms, capabilities_required,
    preference, user_model_request, decision_id, input_tokens, output_tokens, cost_usd, error_kind, task_type,
    propensity, score_version, extra, slice_no, msg_id, first_of_decision
) FROM STDIN (FORMAT BINARY)
