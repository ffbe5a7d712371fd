-- Revision 0014: requests that a gateway executes. Expands only: workers of revision 0013 run on beside it. They keep the new
-- fields of an event in `extra`. Where one of them gathers or merges evidence of graded outcomes, these count as 0 or 1, until
-- `centralcloud verify --repair`.

-- In the order of their alignment, so that no row has padding. A row without any of them keeps its size: its null bitmap has
-- room for 72 columns.
ALTER TABLE routing_records
    ADD COLUMN estimated_cost_usd double precision,
    ADD COLUMN cost_nano_usd bigint,
    ADD COLUMN reward double precision,
    ADD COLUMN arm_share double precision,
    ADD COLUMN feedback_until timestamptz,
    ADD COLUMN attempt integer,
    ADD COLUMN estimated_ms integer,
    ADD COLUMN first_token_ms integer,
    ADD COLUMN complexity_level_10 smallint,
    ADD COLUMN request_id uuid,
    ADD COLUMN session varchar,
    ADD COLUMN workspace varchar,
    ADD COLUMN key_id varchar,
    ADD COLUMN user_id varchar,
    ADD COLUMN worker varchar,
    ADD COLUMN task_id varchar,
    ADD COLUMN agent_type varchar,
    ADD COLUMN policy varchar,
    ADD COLUMN rule varchar,
    ADD COLUMN finish_reason varchar,
    ADD COLUMN classifier varchar,
    ADD COLUMN model_version varchar,
    ADD COLUMN experiment varchar,
    ADD COLUMN arm varchar;
COMMENT ON COLUMN routing_records.request_id IS 'the request of which this decision is an attempt; null: the decision is a request by itself';
COMMENT ON COLUMN routing_records.reward IS 'how good the outcome was, 0 to 1; null: 1 for a success, 0 for a failure';
COMMENT ON COLUMN routing_records.cost_nano_usd IS 'the exact cost; cost_usd is for display';
COMMENT ON COLUMN routing_records.feedback_until IS 'the outcome of the request is its feedback, if it arrives until then';
-- Reads each record once: it has no entry yet.
CREATE INDEX idx_routing_records_request_id ON routing_records (request_id) WHERE request_id IS NOT NULL;

ALTER TABLE evidence
    ADD COLUMN graded_successes bigint NOT NULL DEFAULT 0,
    ADD COLUMN graded_reward double precision NOT NULL DEFAULT 0,
    ADD COLUMN graded_reward_squares double precision NOT NULL DEFAULT 0;
ALTER TABLE dropped_evidence
    ADD COLUMN graded_successes bigint NOT NULL DEFAULT 0,
    ADD COLUMN graded_reward double precision NOT NULL DEFAULT 0,
    ADD COLUMN graded_reward_squares double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN evidence.graded_successes IS 'successes with a reward of their own: the reward of all outcomes is successes - graded_successes + graded_reward';
COMMENT ON COLUMN evidence.graded_reward IS 'sum of the rewards of successes and failures that have one';
COMMENT ON COLUMN evidence.graded_reward_squares IS 'sum of the squares of these rewards';

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
    CASE WHEN outcome <> 'routed' AND NOT blameless THEN reward END AS graded
FROM (
    SELECT
        id, created_at, timestamp, slice_no, msg_id, instance_id, provider, model, complexity, score, decision_id,
        first_of_decision, response_time_ms, input_tokens, output_tokens, cost_usd, outcome, reward,
        outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records
) AS record;
COMMENT ON COLUMN evidence_of_records.graded IS 'the reward of a success or failure that has one; null for other records';

CREATE TABLE request_plans (
    request_id  uuid PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT now(),
    plan        jsonb NOT NULL
);
CREATE INDEX idx_request_plans_created_at ON request_plans USING brin (created_at);
COMMENT ON TABLE request_plans IS 'how the router decided on a request: its plan, as the first event that had one sent it';

CREATE TABLE feedback (
    request_id        uuid PRIMARY KEY,
    created_at        timestamptz NOT NULL DEFAULT now(),
    success           boolean NOT NULL,
    learned           boolean NOT NULL,
    reward            double precision,
    instance_id       varchar NOT NULL,
    decision_id       varchar,
    model_name        varchar NOT NULL,
    complexity_level  varchar NOT NULL,
    workspace         varchar,
    user_id           varchar,
    comment           text
);
CREATE INDEX idx_feedback_created_at ON feedback (created_at);
CREATE INDEX idx_feedback_model ON feedback (model_name, complexity_level);
COMMENT ON TABLE feedback IS 'the feedback on a request, about the decision of its last attempt';
COMMENT ON COLUMN feedback.learned IS 'true: it is the outcome of the decision; false: the decision had another outcome, or did not wait for feedback';
COMMENT ON COLUMN feedback.reward IS '0 to 1; null where only success or failure was reported';

CREATE TABLE waiting_feedback (
    request_id   uuid PRIMARY KEY,
    reported_at  timestamptz NOT NULL DEFAULT now(),
    success      boolean NOT NULL,
    reward       double precision,
    user_id      varchar,
    comment      text
);
CREATE INDEX idx_waiting_feedback_reported_at ON waiting_feedback (reported_at);
COMMENT ON TABLE waiting_feedback IS 'feedback on a request whose records were not ingested yet; kept for a day';

-- One row a request. A decision without a request is a request by itself, and so is a record with neither id. Several events
-- of one decision: the first one that has a field gives it; cost, tokens, times, reward and finish reason are those of the outcome,
-- where it has them. With a condition on request_id it is served by idx_routing_records_request_id; else it reads every record.
CREATE VIEW routing_decisions AS
SELECT
    request.id,
    request.timestamp,
    request.objective,
    request.task_type,
    coalesce(complexity_level_10, CASE request.complexity WHEN 'simple' THEN 2 WHEN 'medium' THEN 5 ELSE 8 END)::integer
        AS complexity,
    selected_model,
    coalesce(reasoning, plan.plan ->> 'reason', 'rule ' || rule, 'policy ' || policy) AS reasoning,
    estimated_cost,
    actual_cost,
    execution_time,
    estimated_time,
    success,
    tokens_used,
    request.request_id,
    attempts,
    instance_id,
    decision_id,
    workspace,
    reward,
    finish_reason
FROM (
    SELECT
        request_id,
        min(id) AS id,
        min(timestamp) AS timestamp,
        count(*) AS attempts,
        max(objective) AS objective,
        (array_agg(reasoning ORDER BY attempt DESC NULLS LAST, id DESC) FILTER (WHERE reasoning IS NOT NULL))[1] AS reasoning,
        (array_agg(task_type ORDER BY attempt NULLS LAST, id) FILTER (WHERE task_type IS NOT NULL))[1] AS task_type,
        (array_agg(complexity ORDER BY attempt NULLS LAST, id))[1] AS complexity,
        (array_agg(complexity_level_10 ORDER BY attempt NULLS LAST, id) FILTER (WHERE complexity_level_10 IS NOT NULL))[1]
            AS complexity_level_10,
        (array_agg(rule ORDER BY attempt NULLS LAST, id) FILTER (WHERE rule IS NOT NULL))[1] AS rule,
        (array_agg(policy ORDER BY attempt NULLS LAST, id) FILTER (WHERE policy IS NOT NULL))[1] AS policy,
        (array_agg(workspace ORDER BY attempt NULLS LAST, id) FILTER (WHERE workspace IS NOT NULL))[1] AS workspace,
        (array_agg(model ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS selected_model,
        (array_agg(instance_id ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS instance_id,
        (array_agg(decision_id ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS decision_id,
        (array_agg(success ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS success,
        (array_agg(reward ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS reward,
        (array_agg(finish_reason ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS finish_reason,
        (array_agg(estimated_cost_usd ORDER BY attempt DESC NULLS LAST, id DESC))[1] AS estimated_cost,
        (array_agg(estimated_ms ORDER BY attempt DESC NULLS LAST, id DESC))[1] / 1000.0::double precision AS estimated_time,
        (sum(coalesce(cost_nano_usd::numeric, cost_usd::numeric * 1000000000)) / 1000000000)::double precision AS actual_cost,
        sum(response_time_ms) / 1000.0::double precision AS execution_time,
        sum(tokens)::bigint AS tokens_used
    FROM (
        SELECT
            request_id,
            instance_id,
            decision_id,
            min(id) AS id,
            min(timestamp) AS timestamp,
            min(attempt) AS attempt,
            min(model) AS model,
            min(complexity) AS complexity,
            max(extra ->> 'objective') AS objective,
            max(extra ->> 'reasoning') AS reasoning,
            coalesce(max(task_type) FILTER (WHERE outcome = 'routed'), max(task_type)) AS task_type,
            coalesce(max(complexity_level_10) FILTER (WHERE outcome = 'routed'), max(complexity_level_10)) AS complexity_level_10,
            coalesce(max(rule) FILTER (WHERE outcome = 'routed'), max(rule)) AS rule,
            coalesce(max(policy) FILTER (WHERE outcome = 'routed'), max(policy)) AS policy,
            coalesce(max(workspace) FILTER (WHERE outcome = 'routed'), max(workspace)) AS workspace,
            coalesce(max(estimated_cost_usd) FILTER (WHERE outcome = 'routed'), max(estimated_cost_usd)) AS estimated_cost_usd,
            coalesce(max(estimated_ms) FILTER (WHERE outcome = 'routed'), max(estimated_ms)) AS estimated_ms,
            coalesce(max(cost_nano_usd) FILTER (WHERE outcome <> 'routed'), max(cost_nano_usd)) AS cost_nano_usd,
            coalesce(max(cost_usd) FILTER (WHERE outcome <> 'routed'), max(cost_usd)) AS cost_usd,
            coalesce(max(response_time_ms) FILTER (WHERE outcome <> 'routed'), max(response_time_ms)) AS response_time_ms,
            coalesce(max(reward) FILTER (WHERE outcome <> 'routed'), max(reward)) AS reward,
            coalesce(max(finish_reason) FILTER (WHERE outcome <> 'routed'), max(finish_reason)) AS finish_reason,
            coalesce(
                max(coalesce(input_tokens, output_tokens - output_tokens)::bigint + coalesce(output_tokens, 0))
                    FILTER (WHERE outcome <> 'routed'),
                max(coalesce(input_tokens, output_tokens - output_tokens)::bigint + coalesce(output_tokens, 0))
            ) AS tokens,
            CASE WHEN bool_or(outcome = 'success') THEN true WHEN bool_or(outcome = 'failure') THEN false END AS success
        FROM routing_records
        GROUP BY
            request_id,
            instance_id,
            decision_id,
            CASE WHEN decision_id IS NULL THEN attempt END,
            CASE WHEN decision_id IS NULL AND request_id IS NULL THEN id END
    ) AS decision
    GROUP BY
        request_id,
        CASE WHEN request_id IS NULL THEN instance_id END,
        CASE WHEN request_id IS NULL THEN decision_id END,
        CASE WHEN request_id IS NULL AND decision_id IS NULL THEN id END
) AS request
LEFT JOIN request_plans plan ON plan.request_id = request.request_id;
COMMENT ON VIEW routing_decisions IS 'one row a request: the model of its last attempt, the sums of cost (USD), time (s) and tokens of all';
