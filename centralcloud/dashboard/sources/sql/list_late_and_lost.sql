-- Outcomes that came late or never, by pair, of the view dashboard_late_and_lost_outcomes: one row a pair that had decisions; it
-- reads the evidence completely.
SELECT
    model_name AS model,
    complexity_level AS complexity,
    linked_decision_count AS decisions,
    unresolved_rate::double precision AS unresolved_percent,
    outcome_count AS outcomes,
    late_count AS late,
    late_rate::double precision AS late_percent
FROM public.dashboard_late_and_lost_outcomes
WHERE linked_decision_count > 0 OR late_count > 0
ORDER BY unresolved_rate DESC NULLS LAST, late_rate DESC NULLS LAST, model_name, complexity_level
LIMIT 1000;
