-- Revision 0023: use and cost by workspace, key, policy, worker and task type. Expands only: older workers use none of it.

-- Rewrites the table once, for the ids of its rows. Older workers leave cost_nano_usd empty; total_cost then has the cost.
ALTER TABLE model_performance
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN cost_nano_usd numeric;
COMMENT ON COLUMN model_performance.id IS 'derived from the key: it stays when the hour is rolled up again';
COMMENT ON COLUMN model_performance.created_at IS 'when the hour was last rolled up';
COMMENT ON COLUMN model_performance.cost_nano_usd IS 'the exact cost, in 1e-9 USD; empty: rolled up before revision 0023';
COMMENT ON COLUMN model_performance.total_cost IS 'in USD, for display';

-- Quarter-hours, because the days of some time zones begin at a half or a quarter of an hour of UTC. An empty text: none.
CREATE TABLE usage_roll_ups (
    window_start          timestamptz NOT NULL,
    response_time_sum_ms  bigint NOT NULL DEFAULT 0,
    requests              bigint NOT NULL DEFAULT 0,
    attempts              bigint NOT NULL DEFAULT 0,
    successes             bigint NOT NULL DEFAULT 0,
    failures              bigint NOT NULL DEFAULT 0,
    blameless             bigint NOT NULL DEFAULT 0,
    without_cost          bigint NOT NULL DEFAULT 0,
    response_time_count   bigint NOT NULL DEFAULT 0,
    input_tokens          bigint NOT NULL DEFAULT 0,
    output_tokens         bigint NOT NULL DEFAULT 0,
    timed_tokens          bigint NOT NULL DEFAULT 0,
    generation_ms         bigint NOT NULL DEFAULT 0,
    feedback_count        bigint NOT NULL DEFAULT 0,
    feedback_successes    bigint NOT NULL DEFAULT 0,
    feedback_reward       double precision NOT NULL DEFAULT 0,
    id                    uuid NOT NULL,
    cost_nano_usd         numeric NOT NULL DEFAULT 0,
    workspace             varchar NOT NULL,
    key_id                varchar NOT NULL,
    policy                varchar NOT NULL,
    worker                varchar NOT NULL,
    task_type             varchar NOT NULL,
    model_name            varchar NOT NULL,
    provider              varchar NOT NULL,
    PRIMARY KEY (window_start, id)
);
-- A name of a workspace fits an index: at most 200 characters are kept.
CREATE INDEX idx_usage_roll_ups_workspace ON usage_roll_ups (workspace, window_start);
COMMENT ON TABLE usage_roll_ups IS
    'rolled up from routing_records and feedback by maintenance; quarter-hours of arrival; the newest ones are rolled up again each time. Worker and task type of the rarest rows of a workspace are (other)';
COMMENT ON COLUMN usage_roll_ups.id IS 'derived from the other columns of the key: their texts may be longer than an index takes';
COMMENT ON COLUMN usage_roll_ups.requests IS 'first attempts; a decision without a request is a request by itself';
COMMENT ON COLUMN usage_roll_ups.attempts IS 'decisions first heard of in this window, as total_requests of model_performance';
COMMENT ON COLUMN usage_roll_ups.failures IS 'failures that speak of the model; of kind caller and policy are blameless';
COMMENT ON COLUMN usage_roll_ups.without_cost IS 'successes whose cost is not known: they are not in cost_nano_usd';
COMMENT ON COLUMN usage_roll_ups.timed_tokens IS 'output tokens of successes that reported a time, generated in generation_ms';
COMMENT ON COLUMN usage_roll_ups.generation_ms IS 'from the first token to the last one, or the whole time where the first one is not known';
COMMENT ON COLUMN usage_roll_ups.feedback_reward IS 'sum of the rewards; feedback without one counts 1 for a success, else 0';
COMMENT ON COLUMN usage_roll_ups.cost_nano_usd IS 'exact, in 1e-9 USD';

CREATE TABLE escalation_roll_ups (
    window_start  timestamptz NOT NULL,
    requests      bigint NOT NULL,
    id            uuid NOT NULL,
    workspace     varchar NOT NULL,
    from_model    varchar NOT NULL,
    to_model      varchar NOT NULL,
    reason        varchar NOT NULL,
    PRIMARY KEY (window_start, id)
);
COMMENT ON TABLE escalation_roll_ups IS 'attempts after a failed one: from which model to which, and why; quarter-hours of arrival';
COMMENT ON COLUMN escalation_roll_ups.reason IS 'the error kind of the attempt before; unknown: its outcome did not arrive';

CREATE TABLE roll_up_progress (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    rolled_up_until  timestamptz
);
INSERT INTO roll_up_progress DEFAULT VALUES;
COMMENT ON TABLE roll_up_progress IS 'through when usage_roll_ups and escalation_roll_ups have the records';

-- The newest requests of a workspace: its decisions alone have it.
CREATE INDEX idx_routing_records_workspace ON routing_records (workspace, id) WHERE workspace IS NOT NULL AND attempt = 1;
