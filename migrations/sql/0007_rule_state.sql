-- Revision 0007: the state of rules in typed columns, evidence as a view, counters updated by one function.
-- Expands only: workers of revisions 0003 to 0005 go on beside it. The trigger keeps what they write and the new columns equal.

ALTER TABLE rule_scores
    ADD COLUMN evidence_from bigint,
    ADD COLUMN earlier_boundaries bigint[],
    ADD COLUMN state_payload jsonb,
    ADD COLUMN excluded_instances text[],
    ADD COLUMN recomputable boolean;
ALTER TABLE model_scores
    ADD COLUMN evidence_from bigint,
    ADD COLUMN earlier_boundaries bigint[],
    ADD COLUMN state_payload jsonb,
    ADD COLUMN excluded_instances text[],
    ADD COLUMN recomputable boolean;
CREATE TRIGGER sync_rule_state BEFORE INSERT OR UPDATE ON rule_scores
    FOR EACH ROW EXECUTE FUNCTION centralcloud.sync_rule_state();
CREATE TRIGGER sync_rule_state BEFORE INSERT OR UPDATE ON model_scores
    FOR EACH ROW EXECUTE FUNCTION centralcloud.sync_rule_state();
UPDATE rule_scores SET evidence_from = NULL;  -- the trigger fills the new columns
UPDATE model_scores SET evidence_from = NULL;
ALTER TABLE rule_scores
    ALTER COLUMN evidence_from SET NOT NULL,
    ALTER COLUMN earlier_boundaries SET NOT NULL,
    ALTER COLUMN state_payload SET NOT NULL,
    ALTER COLUMN excluded_instances SET NOT NULL,
    ALTER COLUMN recomputable SET NOT NULL;
ALTER TABLE model_scores
    ALTER COLUMN evidence_from SET NOT NULL,
    ALTER COLUMN earlier_boundaries SET NOT NULL,
    ALTER COLUMN state_payload SET NOT NULL,
    ALTER COLUMN excluded_instances SET NOT NULL,
    ALTER COLUMN recomputable SET NOT NULL;

COMMENT ON COLUMN rule_scores.state IS 'the rule''s state for workers up to revision 0005; a trigger keeps it equal to the columns below';
COMMENT ON COLUMN rule_scores.evidence_from IS 'the rule goes on from the evidence after this slice; evidence is never merged across it';
COMMENT ON COLUMN rule_scores.earlier_boundaries IS 'slices after which the rule may have to start again; evidence is never merged across them';
COMMENT ON COLUMN rule_scores.state_payload IS 'the rest of the rule''s state, which only the rule reads';
COMMENT ON COLUMN rule_scores.excluded_instances IS 'the instances whose evidence was left out when the score was computed';
COMMENT ON COLUMN rule_scores.recomputable IS 'whether the score follows from the state and the evidence: not after a reset or a merge of two models';
COMMENT ON COLUMN model_scores.recomputable IS 'whether the score follows from the state and the evidence: false for one that an operator set';

-- Which records count as evidence, and as what. Everything that counts records uses it, except for `verify`, which counts
-- independently.
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
    CASE WHEN outcome <> 'routed' AND NOT blameless THEN cost_usd END AS priced_usd
FROM (
    SELECT
        id, created_at, timestamp, slice_no, msg_id, instance_id, provider, model, complexity, score, decision_id,
        first_of_decision, response_time_ms, input_tokens, output_tokens, cost_usd, outcome,
        outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records
) AS record;

COMMENT ON VIEW evidence_of_records IS 'routing_records, with what each counts as: routed, success, failure or blameless, and late';
COMMENT ON COLUMN evidence_of_records.blameless IS 'a failure of kind caller or policy, which says nothing about the model';
COMMENT ON COLUMN evidence_of_records.late IS 'an outcome that arrived more than an hour after its decision; it counts in the slice in which it arrived';
COMMENT ON COLUMN evidence_of_records.timed_ms IS 'the response time of a success or failure; null for other records';
COMMENT ON COLUMN evidence_of_records.priced_usd IS 'the cost of a success or failure; null for other records';

CREATE TYPE centralcloud.metric_delta AS (
    model_name               varchar,
    complexity_level         varchar,
    routed_count             bigint,
    success_count            bigint,
    failure_count            bigint,
    blameless_count          bigint,
    linked_decision_count    bigint,
    unlinked_routed_count    bigint,
    unlinked_resolved_count  bigint,
    response_time_count      bigint,
    response_time_sum_ms     bigint,
    response_times           integer[],
    last_reported_score      double precision,
    last_reported_msg_id     bigint,
    updated_at               timestamptz
);
COMMENT ON TYPE centralcloud.metric_delta IS 'what is added to the lifetime counters of one pair';
