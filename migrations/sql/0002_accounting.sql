-- Revision 0002: every message accounted for, records that may be dropped, evidence gathered when its slice closes.
-- Workers of revision 0001 do not keep these accounts: stop them before, start the new ones after.

-- What has become of every message that was ever sent. One row, changed in the transaction that the change is about:
--   sent = taken + purged + still queued;  taken = records + duplicates + dead_letters
--   records = rows of routing_records + records_dropped;  dead_letters = open rows of dead_letters + replayed + discarded
CREATE TABLE accounting (
    only_row                boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    taken                   bigint NOT NULL DEFAULT 0,
    records                 bigint NOT NULL DEFAULT 0,
    duplicates              bigint NOT NULL DEFAULT 0,
    dead_letters            bigint NOT NULL DEFAULT 0,
    dead_letters_replayed   bigint NOT NULL DEFAULT 0,
    dead_letters_discarded  bigint NOT NULL DEFAULT 0,
    purged                  bigint NOT NULL DEFAULT 0,
    records_dropped         bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

COMMENT ON COLUMN accounting.taken IS 'messages that ingest took off the queue';
COMMENT ON COLUMN accounting.records IS 'of them, taken in: rows of routing_records, dropped ones included';
COMMENT ON COLUMN accounting.duplicates IS 'of them, resends and second outcomes of a decision that was known';
COMMENT ON COLUMN accounting.dead_letters IS 'of them, put aside; replayed and discarded ones included';
COMMENT ON COLUMN accounting.dead_letters_replayed IS 'dead letters sent again; each is a new message, sent and taken once more';
COMMENT ON COLUMN accounting.purged IS 'messages that an operator removed from the queue unread';
COMMENT ON COLUMN accounting.records_dropped IS 'records that retention has dropped';

INSERT INTO accounting (taken, records, dead_letters)
SELECT records + dead_letters, records, dead_letters
FROM (SELECT (SELECT count(*) FROM routing_records) AS records, (SELECT count(*) FROM dead_letters) AS dead_letters) AS kept;

-- Which message a record came from, and whether it was the first of its decision: what a recount needs.
ALTER TABLE routing_records ADD COLUMN msg_id bigint, ADD COLUMN first_of_decision boolean;
UPDATE routing_records r SET first_of_decision = numbered.nth = 1
FROM (
    SELECT id, created_at, row_number() OVER (PARTITION BY instance_id, decision_id ORDER BY id) AS nth
    FROM routing_records WHERE decision_id IS NOT NULL
) AS numbered
WHERE r.id = numbered.id AND r.created_at = numbered.created_at;

COMMENT ON COLUMN routing_records.msg_id IS 'the message that carried the event; unknown for records from before revision 0002';
COMMENT ON COLUMN routing_records.first_of_decision IS 'whether this was the first event of its decision; null without a decision_id';

-- What the dropped records had added to the lifetime counters and to the evidence, so that both can still be recounted.
CREATE TABLE dropped_metrics (
    model_name               varchar NOT NULL,
    complexity_level         varchar NOT NULL,
    routed_count             bigint NOT NULL DEFAULT 0,
    success_count            bigint NOT NULL DEFAULT 0,
    failure_count            bigint NOT NULL DEFAULT 0,
    blameless_count          bigint NOT NULL DEFAULT 0,
    linked_decision_count    bigint NOT NULL DEFAULT 0,
    unlinked_routed_count    bigint NOT NULL DEFAULT 0,
    unlinked_resolved_count  bigint NOT NULL DEFAULT 0,
    response_time_count      bigint NOT NULL DEFAULT 0,
    response_time_sum_ms     bigint NOT NULL DEFAULT 0,
    last_reported_score      double precision,
    last_reported_msg_id     bigint,
    PRIMARY KEY (model_name, complexity_level)
);
-- What was counted, and of which no record is there: partitions may have been dropped by hand, or by this revision before it
-- was taken back. Records from before it do not know their message, so the newest score of each pair is remembered too.
INSERT INTO dropped_metrics (
    model_name, complexity_level, routed_count, success_count, failure_count, blameless_count, linked_decision_count,
    unlinked_routed_count, unlinked_resolved_count, response_time_count, response_time_sum_ms, last_reported_score,
    last_reported_msg_id
)
SELECT
    model_name, complexity_level, routed_count - count(r.id) FILTER (WHERE r.outcome = 'routed'),
    success_count - count(r.id) FILTER (WHERE r.outcome = 'success'),
    failure_count - count(r.id) FILTER (WHERE r.outcome = 'failure' AND NOT r.blameless),
    blameless_count - count(r.id) FILTER (WHERE r.blameless),
    linked_decision_count - count(r.id) FILTER (WHERE r.first_of_decision),
    unlinked_routed_count - count(r.id) FILTER (WHERE r.decision_id IS NULL AND r.outcome = 'routed'),
    unlinked_resolved_count - count(r.id) FILTER (WHERE r.decision_id IS NULL AND r.outcome <> 'routed'),
    m.response_time_count - count(r.response_time_ms),
    m.response_time_sum_ms - coalesce(sum(r.response_time_ms), 0),
    last_reported_score, last_reported_msg_id
FROM model_routing_metrics m
LEFT JOIN (
    SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless FROM routing_records
) AS r ON r.model = m.model_name AND r.complexity = m.complexity_level
GROUP BY m.id;

CREATE TABLE dropped_evidence (LIKE evidence INCLUDING DEFAULTS);
ALTER TABLE dropped_evidence ADD PRIMARY KEY (model_name, complexity_level, slice_no, provider, instance_id);

-- Evidence is gathered from the records of a slice when the slice has been closed, and merged with its neighbours with age.
ALTER TABLE evidence_slices
    ADD COLUMN after_record_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN gathered_at timestamptz,
    ADD COLUMN merged_from bigint;
UPDATE evidence_slices SET gathered_at = closed_at WHERE closed_at IS NOT NULL;
UPDATE evidence_slices s SET after_record_id = earlier.newest_id
FROM (
    SELECT slice_no, coalesce(max(r.newest_id) OVER (ORDER BY slice_no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
        AS newest_id
    FROM evidence_slices
    LEFT JOIN (SELECT slice_no, max(id) AS newest_id FROM routing_records GROUP BY slice_no) AS r USING (slice_no)
) AS earlier
WHERE s.slice_no = earlier.slice_no;
-- A gap in the numbers is where slices were merged before this revision was taken back and came again.
UPDATE evidence_slices s SET merged_from = before.slice_no + 1
FROM (SELECT slice_no AS merged, lag(slice_no) OVER (ORDER BY slice_no) AS slice_no FROM evidence_slices) AS before
WHERE s.slice_no = before.merged AND before.slice_no + 1 < s.slice_no;
CREATE INDEX idx_evidence_slices_ungathered ON evidence_slices (slice_no) WHERE gathered_at IS NULL;
-- What the open slice holds so far is gathered again with the rest of it.
DELETE FROM evidence WHERE slice_no = (SELECT max(slice_no) FROM evidence_slices);

INSERT INTO dropped_evidence (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd
)
SELECT * FROM (
    SELECT
        slice_no, model_name, complexity_level, provider, instance_id, e.routed - coalesce(r.routed, 0) AS routed,
        e.successes - coalesce(r.successes, 0), e.failures - coalesce(r.failures, 0),
        e.blameless - coalesce(r.blameless, 0), e.response_time_count - coalesce(r.response_time_count, 0),
        e.response_time_sum_ms - coalesce(r.response_time_sum_ms, 0), e.input_tokens - coalesce(r.input_tokens, 0),
        e.output_tokens - coalesce(r.output_tokens, 0), e.cost_usd - coalesce(r.cost_usd, 0)
    FROM evidence e
    LEFT JOIN (
        SELECT
            slice.merged_into AS slice_no, model AS model_name, complexity AS complexity_level, provider, instance_id,
            count(*) FILTER (WHERE outcome = 'routed') AS routed,
            count(*) FILTER (WHERE outcome = 'success') AS successes,
            count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless) AS failures,
            count(*) FILTER (WHERE blameless) AS blameless,
            count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless) AS response_time_count,
            coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0) AS response_time_sum_ms,
            coalesce(sum(input_tokens), 0) AS input_tokens,
            coalesce(sum(output_tokens), 0) AS output_tokens,
            coalesce(sum(cost_usd), 0) AS cost_usd
        FROM (
            SELECT *, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
            FROM routing_records
        ) AS record
        JOIN (
            SELECT generate_series(coalesce(merged_from, slice_no), slice_no) AS slice_no, slice_no AS merged_into
            FROM evidence_slices WHERE gathered_at IS NOT NULL
        ) AS slice USING (slice_no)
        GROUP BY slice.merged_into, model, complexity, provider, instance_id
    ) AS r USING (slice_no, model_name, complexity_level, provider, instance_id)
) AS residue (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd
)
WHERE (routed, successes, failures, blameless, response_time_count, response_time_sum_ms, input_tokens, output_tokens)
   <> (0, 0, 0, 0, 0, 0, 0, 0) OR abs(cost_usd) > 1e-9;

COMMENT ON COLUMN evidence_slices.after_record_id IS 'the newest record id when the slice was opened: its records have greater ones, up to that of the next slice';
COMMENT ON COLUMN evidence_slices.gathered_at IS 'when the evidence of this slice was gathered from its records';
COMMENT ON COLUMN evidence_slices.merged_from IS 'the first of the slices that were merged into this one; null: this one alone';

-- Worker processes. One that is killed leaves its row, and whoever starts next is careful first.
CREATE TABLE ingest_workers (
    worker_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    host        varchar NOT NULL,
    process     varchar NOT NULL,
    batch_size  integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN ingest_workers.process IS 'process id and start time: tells on its own host whether it lives';

-- A dead letter stays open until somebody sends it again or gives it up.
ALTER TABLE dead_letters
    ADD COLUMN resolution varchar CHECK (resolution IN ('replayed', 'discarded')),
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN replayed_msg_id bigint;
CREATE INDEX idx_dead_letters_resolved_at ON dead_letters (resolved_at) WHERE resolution IS NOT NULL;

COMMENT ON COLUMN dead_letters.resolution IS 'null while open, replayed, or discarded';
COMMENT ON COLUMN dead_letters.replayed_msg_id IS 'the message that it was sent again as';

-- What came in, hour by hour: for dashboards (the specification's table, with complexity and instance).
CREATE TABLE model_performance (
    window_start          timestamptz NOT NULL,
    window_end            timestamptz NOT NULL,
    model_name            varchar NOT NULL,
    complexity_level      varchar NOT NULL,
    provider              varchar NOT NULL,
    instance_id           varchar NOT NULL,
    total_requests        bigint NOT NULL,
    successful_requests   bigint NOT NULL,
    failed_requests       bigint NOT NULL,
    blameless_requests    bigint NOT NULL,
    avg_response_time_ms  double precision,
    p50_response_time_ms  double precision,
    p95_response_time_ms  double precision,
    p99_response_time_ms  double precision,
    total_cost            double precision NOT NULL,
    total_tokens          bigint NOT NULL,
    avg_tokens_used       double precision,
    PRIMARY KEY (window_start, model_name, complexity_level, provider, instance_id)
);

COMMENT ON TABLE model_performance IS 'rolled up from routing_records by maintenance; hours of arrival (UTC); the newest hours are rolled up again each time';
COMMENT ON COLUMN model_performance.total_requests IS 'decisions first heard of in this hour: by id, or without ids the greater of routed and resolved';
COMMENT ON COLUMN model_performance.failed_requests IS 'failures that speak of the model; of kind caller and policy are blameless_requests';
COMMENT ON COLUMN model_performance.avg_response_time_ms IS 'of successes and failures that reported a time; the percentiles too';
COMMENT ON COLUMN model_performance.total_cost IS 'in USD';
COMMENT ON COLUMN model_performance.avg_tokens_used IS 'input and output tokens of the events that reported any';

CREATE VIEW dashboard_hourly_performance AS
SELECT
    window_start,
    model_name,
    complexity_level,
    sum(total_requests)::bigint AS total_requests,
    sum(successful_requests)::bigint AS successful_requests,
    sum(failed_requests)::bigint AS failed_requests,
    round(100.0 * sum(successful_requests) / nullif(sum(successful_requests + failed_requests), 0), 2) AS success_rate,
    max(p95_response_time_ms) AS worst_p95_response_time_ms,
    sum(total_cost) AS total_cost,
    sum(total_tokens)::bigint AS total_tokens
FROM model_performance
WHERE window_start > now() - interval '7 days'
GROUP BY window_start, model_name, complexity_level
ORDER BY window_start DESC, model_name, complexity_level;

COMMENT ON VIEW dashboard_hourly_performance IS 'the last seven days by hour, over all instances and providers; success_rate in percent of resolved, worst_p95: of the slowest instance';
