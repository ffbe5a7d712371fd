-- Revision 0031: what experiments have found so far. The experiments themselves are entries of the configuration. Expands only:
-- older programs use none of it.

-- Exactly once: the watermark and all evidence are written in one transaction.
CREATE TABLE experiment_progress (
    experiment_id  text PRIMARY KEY,
    began          timestamptz NOT NULL,
    folded_until   timestamptz NOT NULL,
    prompted_id    bigint NOT NULL,
    step           smallint NOT NULL,
    retries        integer NOT NULL,
    late_dropped   bigint NOT NULL DEFAULT 0,
    state          bytea NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 65536),
    repeated_until timestamptz NOT NULL DEFAULT 'epoch',
    repeated_id    bigint NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE experiment_progress ALTER COLUMN state SET STORAGE EXTERNAL;
COMMENT ON TABLE experiment_progress IS 'how far the records of an experiment are folded into its evidence';
COMMENT ON COLUMN experiment_progress.began IS 'when the experiment began: another one under the same id begins anew';
COMMENT ON COLUMN experiment_progress.folded_until IS 'decisions before this time are folded, each with the outcome that it had then; what arrives later is in late_dropped';
COMMENT ON COLUMN experiment_progress.prompted_id IS 'the id of the newest record that the prompt guard has seen';
COMMENT ON COLUMN experiment_progress.step IS 'the step of the stage that was folded last: another one begins the evidence for a roll back anew';
COMMENT ON COLUMN experiment_progress.retries IS 'the retries of that stage';
COMMENT ON COLUMN experiment_progress.late_dropped IS 'records that came after their time was folded, so that they count nowhere; counted until a day later';
COMMENT ON COLUMN experiment_progress.repeated_until IS 'the watermark from before the server''s clock was set back: of the decisions before it, only records after repeated_id are folded';
COMMENT ON COLUMN experiment_progress.repeated_id IS 'the id of the newest record at that time';
COMMENT ON COLUMN experiment_progress.updated_at IS 'when it was last folded, also where there was nothing new';
COMMENT ON COLUMN experiment_progress.state IS 'a byte for the format, and how many records each of the newest minutes had';

CREATE TABLE experiment_comparisons (
    experiment_id  text NOT NULL REFERENCES experiment_progress ON DELETE CASCADE,
    treatment      smallint NOT NULL CHECK (treatment >= 0),
    state          bytea NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 65536),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, treatment)
);
-- Numbers that compress badly: to try it would only cost time.
ALTER TABLE experiment_comparisons ALTER COLUMN state SET STORAGE EXTERNAL;
COMMENT ON TABLE experiment_comparisons IS 'the evidence about one treatment against control, whose size does not depend on the number of outcomes';
COMMENT ON COLUMN experiment_comparisons.treatment IS 'its number in the experiment, from 0';
COMMENT ON COLUMN experiment_comparisons.state IS 'a byte for the format, and the numbers; experiment_results has them in a readable form';

-- Rows change often while a session is open, and no index has what changes in them. One that has ended stays, small.
CREATE TABLE experiment_sessions (
    experiment_id  text NOT NULL REFERENCES experiment_progress ON DELETE CASCADE,
    session_key    bigint NOT NULL,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    share          double precision CHECK (share > 0 AND share < 1),
    treatment      smallint CHECK (treatment >= 0),
    is_folded      boolean NOT NULL DEFAULT false,
    has_ended      boolean NOT NULL DEFAULT false,
    outcomes       bytea NOT NULL,
    PRIMARY KEY (experiment_id, session_key)
) WITH (fillfactor = 70);
ALTER TABLE experiment_sessions ALTER COLUMN outcomes SET STORAGE MAIN;
CREATE INDEX idx_experiment_sessions_open ON experiment_sessions (experiment_id, first_at) WHERE NOT has_ended;
COMMENT ON TABLE experiment_sessions IS 'a session of an experiment that is open: its arm, and its outcomes until it is folded; and the key of each that has ended, until the experiment does';
COMMENT ON COLUMN experiment_sessions.session_key IS '64 bits of a hash of the session';
COMMENT ON COLUMN experiment_sessions.first_at IS 'its first decision, which fixes arm and share';
COMMENT ON COLUMN experiment_sessions.share IS 'the probability of treatment among the two arms at its first decision; null: it is not compared, as it began while the experiment was paused, or between two shares';
COMMENT ON COLUMN experiment_sessions.treatment IS 'the number of the treatment; null: control';
COMMENT ON COLUMN experiment_sessions.is_folded IS 'it had 20 outcomes, or has ended: later ones are left out';
COMMENT ON COLUMN experiment_sessions.has_ended IS 'it was idle once: what its name does later counts nowhere, as its arm was drawn once';

CREATE TABLE experiment_results (
    experiment_id  text NOT NULL REFERENCES experiment_progress ON DELETE CASCADE,
    treatment      smallint NOT NULL CHECK (treatment >= 0),
    metric         text NOT NULL,
    facts          jsonb NOT NULL CHECK (jsonb_typeof(facts) = 'object'),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, treatment, metric)
);
COMMENT ON TABLE experiment_results IS 'what is known now about a metric of a treatment against control, for people and programs that show it';
COMMENT ON COLUMN experiment_results.metric IS 'success, request_success, latency, cost, slo, arrived; comparison: what is not of one metric';

-- Never taken back, and kept when the experiment is removed.
CREATE TABLE experiment_verdicts (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment_id  text NOT NULL,
    treatment      smallint CHECK (treatment >= 0),
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict        text NOT NULL,
    facts          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(facts) = 'object')
);
CREATE INDEX idx_experiment_verdicts_experiment ON experiment_verdicts (experiment_id, id);
COMMENT ON TABLE experiment_verdicts IS 'what was decided about an experiment, when, and on which evidence; append-only';
COMMENT ON COLUMN experiment_verdicts.treatment IS 'null: the verdict is about the experiment as a whole';

CREATE TABLE experiment_heartbeat (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_at     timestamptz,
    resumed_at  timestamptz,
    silent_for  interval
);
INSERT INTO experiment_heartbeat DEFAULT VALUES;
COMMENT ON TABLE experiment_heartbeat IS 'one row: when the daemon last looked after the experiments. Gateways treat no session while it is silent';
COMMENT ON COLUMN experiment_heartbeat.seen_at IS 'null: never; written at least every 30 seconds while an experiment is open';
COMMENT ON COLUMN experiment_heartbeat.resumed_at IS 'when it last came back: the daemon, or the database, was unavailable';
COMMENT ON COLUMN experiment_heartbeat.silent_for IS 'for how long it, or the database, was unavailable then';

-- The daemon changes experiments by itself, through the one function that it may call.
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_via_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_via_check CHECK (via IN ('cli', 'web', 'api', 'daemon'));
COMMENT ON COLUMN operator_actions.via IS 'cli: a command; web: a page; api: a request to a gateway; daemon: what it decided by itself';

-- Last: reads every record once, and ingest waits meanwhile. Records of no experiment are not in it.
CREATE INDEX idx_routing_records_experiment ON routing_records (experiment, timestamp) WHERE experiment IS NOT NULL;
