-- Revision 0003: rules that see evidence slice by slice, the scores of every rule, and who has put a hand to them.
-- Expands only: workers of revision 0002 go on beside it, except that evidence they gather has no capped sums.

-- What the rules weigh: latency and cost, each capped at a reference that is recorded with the slice.
ALTER TABLE evidence_slices
    ADD COLUMN latency_ref_ms integer NOT NULL DEFAULT 10000,
    ADD COLUMN cost_ref_usd double precision NOT NULL DEFAULT 0.01;
ALTER TABLE evidence
    ADD COLUMN capped_response_time_sum_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN capped_cost_sum_usd double precision NOT NULL DEFAULT 0,
    ADD COLUMN late bigint NOT NULL DEFAULT 0;
ALTER TABLE dropped_evidence
    ADD COLUMN capped_response_time_sum_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN capped_cost_sum_usd double precision NOT NULL DEFAULT 0,
    ADD COLUMN late bigint NOT NULL DEFAULT 0;
CREATE INDEX idx_evidence_slice_no ON evidence (slice_no);

COMMENT ON COLUMN evidence_slices.latency_ref_ms IS 'response times above this count as this in capped_response_time_sum_ms';
COMMENT ON COLUMN evidence_slices.cost_ref_usd IS 'costs above this count as this in capped_cost_sum_usd';
COMMENT ON COLUMN evidence.capped_response_time_sum_ms IS 'as response_time_sum_ms, of times capped at the reference of the slice';
COMMENT ON COLUMN evidence.cost_count IS 'outcomes that speak of the model and reported a cost';
COMMENT ON COLUMN evidence.late IS 'outcomes that came more than an hour after their decision; they count in the slice in which they came';

-- Of dropped records only the sums are known: their mean stands for each.
UPDATE dropped_evidence SET capped_response_time_sum_ms = least(response_time_sum_ms, 10000 * response_time_count);
UPDATE evidence e SET
    capped_response_time_sum_ms = coalesce(r.capped_time, 0) + coalesce(r.dropped_time, 0),
    cost_count = coalesce(r.cost_count, 0),
    capped_cost_sum_usd = coalesce(r.capped_cost, 0),
    late = coalesce(r.late, 0)
FROM (
    SELECT
        slice_no, model_name, complexity_level, provider, instance_id, counted.capped_time, counted.cost_count,
        counted.capped_cost, counted.late, d.capped_response_time_sum_ms AS dropped_time
    FROM evidence
    LEFT JOIN (
        SELECT
            slice.merged_into AS slice_no, model AS model_name, complexity AS complexity_level, provider, instance_id,
            sum(least(response_time_ms, 10000)) FILTER (WHERE response_time_ms IS NOT NULL) AS capped_time,
            count(cost_usd) AS cost_count,
            sum(least(cost_usd, 0.01)) FILTER (WHERE cost_usd IS NOT NULL) AS capped_cost,
            count(*) FILTER (WHERE created_at - timestamp > interval '1 hour') AS late
        FROM routing_records
        JOIN (
            SELECT generate_series(coalesce(merged_from, slice_no), slice_no) AS slice_no, slice_no AS merged_into
            FROM evidence_slices WHERE gathered_at IS NOT NULL
        ) AS slice USING (slice_no)
        WHERE outcome = 'success' OR outcome = 'failure' AND coalesce(error_kind NOT IN ('caller', 'policy'), true)
        GROUP BY slice.merged_into, model, complexity, provider, instance_id
    ) AS counted USING (slice_no, model_name, complexity_level, provider, instance_id)
    LEFT JOIN dropped_evidence d USING (slice_no, model_name, complexity_level, provider, instance_id)
) AS r
WHERE (e.slice_no, e.model_name, e.complexity_level, e.provider, e.instance_id)
    = (r.slice_no, r.model_name, r.complexity_level, r.provider, r.instance_id);

-- What every rule thinks of every pair, whether it is the one whose scores are published or not.
CREATE TABLE rule_scores (
    rule               varchar NOT NULL,
    model_name         varchar NOT NULL,
    complexity_level   varchar NOT NULL,
    score              numeric(4,3) NOT NULL,
    kind               varchar NOT NULL,
    reason             text NOT NULL,
    confidence         double precision,
    based_on_samples   bigint NOT NULL,
    success_rate       double precision,
    avg_response_time  double precision,
    after_slice        bigint NOT NULL,
    through_slice      bigint NOT NULL,
    window_start       timestamptz,
    mean               double precision,
    n_eff              double precision,
    low                double precision,
    high               double precision,
    probe_share        double precision,
    latency_penalty    double precision,
    cost_penalty       double precision,
    state              jsonb NOT NULL DEFAULT '{}',
    run_id             bigint,
    evaluated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rule, model_name, complexity_level)
);
COMMENT ON COLUMN rule_scores.state IS 'what the rule remembers of the pair between runs';
COMMENT ON COLUMN rule_scores.mean IS 'estimated probability of success; null for a rule that estimates none, as with the seven columns after it';

ALTER TABLE model_scores
    ADD COLUMN after_slice bigint NOT NULL DEFAULT 0,
    ADD COLUMN window_start timestamptz,
    ADD COLUMN mean double precision,
    ADD COLUMN n_eff double precision,
    ADD COLUMN low double precision,
    ADD COLUMN high double precision,
    ADD COLUMN probe_share double precision,
    ADD COLUMN latency_penalty double precision,
    ADD COLUMN cost_penalty double precision,
    ADD COLUMN state jsonb NOT NULL DEFAULT '{}';
UPDATE model_scores s SET after_slice = h.after_slice FROM model_score_history h WHERE h.version = s.version;
-- The rule of revision 0002 goes on where it stands.
INSERT INTO rule_scores (
    rule, model_name, complexity_level, score, kind, reason, confidence, based_on_samples, after_slice, through_slice, state,
    run_id, evaluated_at
)
SELECT
    'threshold', model_name, complexity_level, score, 'step', reason, confidence, based_on_samples, after_slice,
    evaluated_through_slice, jsonb_build_object('score', score::text, 'after_slice', evaluated_through_slice), run_id,
    evaluated_at
FROM model_scores;

ALTER TABLE model_score_history
    ADD COLUMN kind varchar NOT NULL DEFAULT 'step',
    ADD COLUMN window_start timestamptz,
    ADD COLUMN mean double precision,
    ADD COLUMN n_eff double precision,
    ADD COLUMN low double precision,
    ADD COLUMN high double precision,
    ADD COLUMN probe_share double precision,
    ADD COLUMN latency_penalty double precision,
    ADD COLUMN cost_penalty double precision;
ALTER TABLE learning_runs ADD COLUMN excluded_instances text[] NOT NULL DEFAULT '{}';
-- What is trimmed is found by its age: runs that published nothing after a day, the rest with the history.
DROP INDEX idx_learning_runs_idle;
CREATE INDEX idx_learning_runs_unpublished ON learning_runs (finished_at) WHERE pairs_changed = 0;
CREATE INDEX idx_learning_runs_finished_at ON learning_runs USING brin (finished_at);
CREATE INDEX idx_model_score_history_created_at ON model_score_history USING brin (created_at);

-- What an operator has said about scores. `revision` counts whatever was written about scores: a run of the learner that
-- finds it moved reads again. `evidence_generation` counts changes of old evidence (merged, repaired, renamed).
CREATE TABLE learning_control (
    only_row             boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision             bigint NOT NULL DEFAULT 0,
    evidence_generation  bigint NOT NULL DEFAULT 0,
    frozen_at            timestamptz,
    frozen_reason        text
);
INSERT INTO learning_control DEFAULT VALUES;

CREATE TABLE score_pins (
    model_name        varchar NOT NULL,
    complexity_level  varchar NOT NULL,
    score             numeric(4,3) NOT NULL,
    expires_at        timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_name, complexity_level)
);
COMMENT ON TABLE score_pins IS 'scores that an operator has set: learning goes on, and is not published for these pairs';

CREATE TABLE score_holds (
    model_name        varchar NOT NULL,
    complexity_level  varchar NOT NULL,
    after_slice       bigint NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_name, complexity_level)
);
COMMENT ON TABLE score_holds IS 'scores that were rolled back: nothing is published for these pairs on evidence up to this slice';

CREATE TABLE retired_models (
    model_name  varchar PRIMARY KEY,
    retired_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE findings (
    finding_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind         varchar NOT NULL,
    subject      varchar NOT NULL,
    message      text NOT NULL,
    details      jsonb NOT NULL DEFAULT '{}',
    opened_at    timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    closed_at    timestamptz
);
CREATE UNIQUE INDEX idx_findings_open ON findings (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX idx_findings_opened_at ON findings (opened_at);
COMMENT ON TABLE findings IS 'what an operator should know: each opens when it is first seen and closes when it no longer holds';

-- Work that one replica does for all, for as long as it does it. Needs no session, so that it works through a pooler.
CREATE TABLE leases (
    name        varchar PRIMARY KEY,
    holder      varchar NOT NULL,
    expires_at  timestamptz NOT NULL
);

CREATE VIEW dashboard_late_and_lost_outcomes AS
SELECT
    model_name,
    complexity_level,
    linked_decision_count,
    round(100.0 * greatest(
        0, linked_decision_count - (success_count + failure_count + blameless_count - unlinked_resolved_count)
    ) / nullif(linked_decision_count, 0), 2) AS unresolved_rate,
    success_count + failure_count AS outcome_count,
    coalesce(late_count, 0) AS late_count,
    round(100.0 * late_count / nullif(success_count + failure_count, 0), 2) AS late_rate
FROM model_routing_metrics
LEFT JOIN (
    SELECT model_name, complexity_level, sum(late)::bigint AS late_count FROM evidence GROUP BY model_name, complexity_level
) AS gathered USING (model_name, complexity_level)
ORDER BY unresolved_rate DESC NULLS LAST, model_name, complexity_level;

COMMENT ON VIEW dashboard_late_and_lost_outcomes IS 'unresolved_rate: percent of the decisions with an id of which no outcome has come in; late_rate: percent of the outcomes that came more than an hour after their decision, as of the last closed slice';

-- What is true of every score now, for instances in any language. Three columns more than before.
CREATE TEMPORARY TABLE readers_of_scores ON COMMIT DROP AS
SELECT a.grantee::regrole::text AS role
FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
WHERE p.oid = 'centralcloud.current_scores()'::regprocedure AND a.grantee <> p.proowner AND a.grantee <> 0;
DROP FUNCTION centralcloud.current_scores();
CREATE FUNCTION centralcloud.current_scores()
RETURNS TABLE (
    model_name varchar, complexity_level varchar, score numeric, version bigint, updated_at timestamptz, reason text,
    mean double precision, n_eff double precision, probe_share double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT model_name, complexity_level, score, version, updated_at, reason, mean, n_eff, probe_share FROM public.model_scores
$$;
COMMENT ON FUNCTION centralcloud.current_scores IS 'every learned score with its version: what an instance reads at its start and now and then';
REVOKE ALL ON FUNCTION centralcloud.current_scores() FROM PUBLIC;
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN SELECT role FROM readers_of_scores LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.current_scores() TO %s', reader);
    END LOOP;
END
$$;
DROP TABLE readers_of_scores;
