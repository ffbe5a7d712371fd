-- Revision 0030: evidence and scores by task type. Expands only: workers of earlier revisions run on beside it. The slices that they
-- gather have no evidence by task type, and the pairs that they publish have no scores by task type until the next run.
CREATE TABLE task_types (
    task_no     smallint PRIMARY KEY CHECK (task_no BETWEEN 1 AND 31),
    name        varchar NOT NULL UNIQUE CHECK (name <> 'other'),
    slice_no    bigint NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE task_types IS 'the task types that are learned by themselves, in the order in which their first outcomes arrived. Every other one, and every name that comes later, is number 0: other';
COMMENT ON COLUMN task_types.name IS 'the task_type of events. A row is never changed or removed: evidence refers to its number';
COMMENT ON COLUMN task_types.slice_no IS 'the slice with the first outcome';

CREATE TABLE task_evidence (
    slice_no               bigint NOT NULL,
    instance_id            varchar NOT NULL,
    model_name             varchar NOT NULL,
    complexity_level       varchar NOT NULL,
    task_no                smallint NOT NULL,
    successes              bigint NOT NULL DEFAULT 0,
    failures               bigint NOT NULL DEFAULT 0,
    graded_successes       bigint NOT NULL DEFAULT 0,
    graded_reward          double precision NOT NULL DEFAULT 0,
    graded_reward_squares  double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (model_name, complexity_level, slice_no, task_no, instance_id)
);
CREATE INDEX idx_task_evidence_slice_no ON task_evidence (slice_no);
COMMENT ON TABLE task_evidence IS 'the part of evidence that came with a task type, by task type. Latency and cost are learned for the pair, so their sums are not here';
COMMENT ON COLUMN task_evidence.task_no IS 'a task_no of task_types; 0: other';
COMMENT ON COLUMN task_evidence.failures IS 'those that are not blameless, as in evidence';

CREATE TABLE dropped_task_evidence (LIKE task_evidence INCLUDING DEFAULTS INCLUDING INDEXES);
DROP INDEX dropped_task_evidence_slice_no_idx;
COMMENT ON TABLE dropped_task_evidence IS 'the part of task_evidence whose records were dropped';

ALTER TABLE evidence_slices ADD COLUMN by_task_type boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN evidence_slices.by_task_type IS 'whether task_evidence has the outcomes of this slice; false: a worker of an earlier revision gathered it';

CREATE OR REPLACE VIEW evidence_of_records AS
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
    CASE WHEN outcome <> 'routed' AND NOT blameless THEN reward END AS graded,
    CASE WHEN outcome <> 'routed' AND NOT blameless THEN nullif(task_type, '') END AS learned_task_type
FROM (
    SELECT
        id, created_at, timestamp, slice_no, msg_id, instance_id, provider, model, complexity, score, decision_id,
        first_of_decision, response_time_ms, input_tokens, output_tokens, cost_usd, outcome, reward, task_type,
        outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records
) AS record;
COMMENT ON COLUMN evidence_of_records.learned_task_type IS 'the task type of a success or failure that has one; null for other records';

-- Together with its pair: whatever removes the score of a pair, also in an earlier revision, removes those of its task types.
CREATE TABLE model_task_scores (
    model_name        varchar NOT NULL,
    complexity_level  varchar NOT NULL,
    task_type         varchar NOT NULL,
    score             numeric(4,3) NOT NULL CHECK (score BETWEEN 0 AND 5),
    version           bigint NOT NULL,
    pair_version      bigint NOT NULL,
    based_on_samples  bigint NOT NULL,
    mean              double precision NOT NULL,
    n_eff             double precision NOT NULL,
    draw_n            double precision,
    probe_share       double precision,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_name, complexity_level, task_type),
    FOREIGN KEY (model_name, complexity_level) REFERENCES model_scores ON DELETE CASCADE
);
COMMENT ON TABLE model_task_scores IS 'published scores of task types. A row counts while pair_version is the version of its pair';
COMMENT ON COLUMN model_task_scores.version IS 'the version of the pair in which these numbers changed last';
COMMENT ON COLUMN model_task_scores.pair_version IS 'the version of the pair that was published with these numbers';

ALTER TABLE rule_scores ADD COLUMN task_types jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN rule_scores.task_types IS 'by task type: score, samples, mean, n_eff, draw_n and probe_share';
