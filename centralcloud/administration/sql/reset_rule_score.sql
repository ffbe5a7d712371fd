-- The rule starts again with this pair. The score that it gave last stays visible until it gives a new one.
UPDATE public.rule_scores SET
    evidence_from = %(evidence_from)s,
    earlier_boundaries = %(earlier_boundaries)s,
    state_payload = %(state_payload)s,
    excluded_instances = '{}',
    recomputable = false
WHERE rule = %(rule)s AND model_name = %(model)s AND complexity_level = %(complexity)s;
