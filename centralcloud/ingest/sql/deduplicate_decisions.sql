-- Claims the routed and resolved events of decisions with an id. Served by the primary key; keys come sorted, so that two
-- consumers wait for each other instead of deadlocking. A decision of which nothing is new is not returned. Columns come and go
-- as arrays, which is faster than rows.
WITH claimed AS (
    INSERT INTO decision_ids AS d (instance_id, decision_id, seen)
    SELECT instance_id, decision_id, seen::smallint
    FROM ROWS FROM (
        json_array_elements_text(%(instance_ids)s),
        json_array_elements_text(%(decision_ids)s),
        json_array_elements_text(%(seen)s)
    ) AS claim (instance_id, decision_id, seen)
    ON CONFLICT (instance_id, decision_id) DO UPDATE
    SET seen = d.seen | excluded.seen, seen_before = d.seen
    WHERE d.seen & excluded.seen <> excluded.seen
    RETURNING instance_id, decision_id, seen_before
)
SELECT array_agg(instance_id), array_agg(decision_id), array_agg(seen_before) FROM claimed;
