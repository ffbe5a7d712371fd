DROP FUNCTION centralcloud.current_task_scores;
DROP TABLE model_task_scores, task_evidence, dropped_task_evidence, task_types;
ALTER TABLE rule_scores DROP COLUMN task_types;
ALTER TABLE evidence_slices DROP COLUMN by_task_type;

-- The view loses a column, so it is created again, with the rights that it had.
DO $$
DECLARE
    readers text[] := ARRAY(
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'evidence_of_records'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    );
    reader text;
BEGIN
    DROP VIEW evidence_of_records;
    CREATE VIEW evidence_of_records AS
    SELECT
        id, created_at, slice_no, msg_id, instance_id, provider, model, complexity, score, decision_id, first_of_decision,
        response_time_ms, input_tokens, output_tokens, cost_usd,
        outcome = 'routed' AS routed,
        outcome = 'success' AS success,
        outcome = 'failure' AND NOT blameless AS failure,
        blameless,
        outcome <> 'routed' AND NOT blameless AND created_at - timestamp > interval '1 hour' AS late,
        CASE WHEN outcome <> 'routed' AND NOT blameless THEN response_time_ms END AS timed_ms,
        CASE WHEN outcome <> 'routed' AND NOT blameless THEN cost_usd END AS priced_usd,
        CASE WHEN outcome <> 'routed' AND NOT blameless THEN reward END AS graded
    FROM (
        SELECT
            id, created_at, timestamp, slice_no, msg_id, instance_id, provider, model, complexity, score, decision_id,
            first_of_decision, response_time_ms, input_tokens, output_tokens, cost_usd, outcome, reward,
            outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
        FROM routing_records
    ) AS record;
    FOREACH reader IN ARRAY readers LOOP
        EXECUTE format('GRANT SELECT ON evidence_of_records TO %s', reader);
    END LOOP;
END
$$;
COMMENT ON VIEW evidence_of_records IS 'routing_records, with what each counts as: routed, success, failure or blameless, and late';
COMMENT ON COLUMN evidence_of_records.blameless IS 'a failure of kind caller or policy, which says nothing about the model';
COMMENT ON COLUMN evidence_of_records.late IS 'an outcome that arrived more than an hour after its decision; it counts in the slice in which it arrived';
COMMENT ON COLUMN evidence_of_records.timed_ms IS 'the response time of a success or failure; null for other records';
COMMENT ON COLUMN evidence_of_records.priced_usd IS 'the cost of a success or failure; null for other records';
COMMENT ON COLUMN evidence_of_records.graded IS 'the reward of a success or failure that has one; null for other records';
