-- Records the phases (routed, resolved) of decisions with an id, and returns those that each decision had before; a decision
-- without a new phase is not returned. Served by the primary key. The keys are sorted, so that two consumers wait for each
-- other and do not deadlock. Arrays are faster than rows.
WITH updated AS (
    INSERT INTO public.decision_ids AS d (instance_id, decision_id, seen)
    SELECT instance_id, decision_id, seen::smallint
    FROM ROWS FROM (
        json_array_elements_text(%(instance_ids)s),
        json_array_elements_text(%(decision_ids)s),
        json_array_elements_text(%(seen)s)
    ) AS decision (instance_id, decision_id, seen)
    ON CONFLICT (instance_id, decision_id) DO UPDATE
    SET seen = d.seen | excluded.seen, seen_before = d.seen
    WHERE d.seen & excluded.seen <> excluded.seen
    RETURNING instance_id, decision_id, seen_before
)
SELECT
    array_agg(instance_id) AS instance_ids, array_agg(decision_id) AS decision_ids, array_agg(seen_before) AS seen_before
FROM updated;
