-- Revision 0025: one row a minute of the whole fleet, for charts of two weeks without another program. Expands only.
CREATE TABLE fleet_minutes (
    minute                timestamptz PRIMARY KEY CHECK (minute = date_trunc('minute', minute, 'UTC')),
    read_at               timestamptz NOT NULL,
    counted_seconds       double precision NOT NULL DEFAULT 0 CHECK (counted_seconds >= 0),
    ingested              bigint CHECK (ingested >= 0),
    successes             bigint CHECK (successes >= 0),
    failures              bigint CHECK (failures >= 0),
    blameless             bigint CHECK (blameless >= 0),
    cost_nano_usd         bigint CHECK (cost_nano_usd >= 0),
    queue_messages        bigint NOT NULL CHECK (queue_messages >= 0),
    queue_oldest_seconds  double precision,
    dead_letters          bigint NOT NULL CHECK (dead_letters >= 0),
    instances             integer NOT NULL CHECK (instances >= 0),
    instances_behind      integer NOT NULL CHECK (instances_behind BETWEEN 0 AND instances),
    -- The ledger at read_at: the next reading counts from here, in whichever process.
    records_until         bigint NOT NULL,
    counted_until         bigint NOT NULL,
    successes_until       bigint NOT NULL,
    failures_until        bigint NOT NULL,
    blameless_until       bigint NOT NULL,
    cost_nano_usd_until   numeric NOT NULL
);
COMMENT ON TABLE fleet_minutes IS
    'one minute of the whole fleet; a minute in which no daemon read the fleet has no row. Rates divide a count by counted_seconds';
COMMENT ON COLUMN fleet_minutes.read_at IS 'when the fleet was last read for this minute; queue, dead letters and instances are those of then';
COMMENT ON COLUMN fleet_minutes.counted_seconds IS
    'time that the counts cover: about 60; less in the minute that runs, and in the first one after a gap. 0: the counts are empty';
COMMENT ON COLUMN fleet_minutes.ingested IS 'records, committed in counted_seconds; empty as the four columns after it: not known';
COMMENT ON COLUMN fleet_minutes.successes IS 'outcomes as they were ingested: later feedback does not change them';
COMMENT ON COLUMN fleet_minutes.blameless IS 'failures of kind caller or policy; they are not in failures';
COMMENT ON COLUMN fleet_minutes.cost_nano_usd IS 'reported cost in 1e-9 USD';
COMMENT ON COLUMN fleet_minutes.queue_messages IS '100,000: at least so many';
COMMENT ON COLUMN fleet_minutes.queue_oldest_seconds IS 'how long the oldest message has waited that is not delayed; empty: none waits';
COMMENT ON COLUMN fleet_minutes.dead_letters IS 'open ones';
COMMENT ON COLUMN fleet_minutes.instances IS 'seen within a day';
COMMENT ON COLUMN fleet_minutes.instances_behind IS 'those of them that have not applied the newest version of the scores';
COMMENT ON COLUMN fleet_minutes.counted_until IS 'records whose outcomes and cost the ledger has: workers of this revision count them, older ones do not';

-- Last: each ingest locks this row, and waits meanwhile. Older workers leave the new columns as they are.
ALTER TABLE accounting
    ADD COLUMN counted_records bigint NOT NULL DEFAULT 0,
    ADD COLUMN successes bigint NOT NULL DEFAULT 0,
    ADD COLUMN failures bigint NOT NULL DEFAULT 0,
    ADD COLUMN blameless bigint NOT NULL DEFAULT 0,
    ADD COLUMN cost_nano_usd numeric NOT NULL DEFAULT 0;
COMMENT ON COLUMN accounting.counted_records IS 'records in the four columns after it: those that workers of revision 0025 and later have ingested';
COMMENT ON COLUMN accounting.successes IS 'outcomes as they were ingested: later feedback does not change them';
COMMENT ON COLUMN accounting.blameless IS 'failures of kind caller or policy; they are not in failures';
COMMENT ON COLUMN accounting.cost_nano_usd IS 'reported cost in 1e-9 USD';
