-- Revision 0010: the ids of the messages that left the queue, so that an id that was drawn and is nowhere is found.

-- A row for each 10,000 ids, not for each message: ingest adds a batch of neighbours as one range.
CREATE TABLE message_ids (
    block     bigint PRIMARY KEY,
    handled   int8multirange NOT NULL DEFAULT '{}',
    missing   int8multirange NOT NULL DEFAULT '{}',
    first_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

COMMENT ON TABLE message_ids IS 'which ids of messages have left the queue of routing events';
COMMENT ON COLUMN message_ids.block IS 'id / 10000';
COMMENT ON COLUMN message_ids.handled IS 'ids of messages that were ingested, dead-lettered, recognised as duplicates, or purged';
COMMENT ON COLUMN message_ids.missing IS 'ids that were drawn and were nowhere at a verification that accepted it: deleted by others, or sends that were rolled back';
COMMENT ON COLUMN message_ids.first_at IS 'when the first of them left the queue';
COMMENT ON COLUMN message_ids.last_at IS 'when the last of them left the queue';

ALTER TABLE accounting
    ADD COLUMN ids_tracked_after bigint NOT NULL DEFAULT 0,
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN verified_ids bigint NOT NULL DEFAULT 0,
    ADD COLUMN verified_unaccounted bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN accounting.ids_tracked_after IS 'message_ids tells about greater ids only';
COMMENT ON COLUMN accounting.verified_at IS 'when `verify` last accepted the number of messages that are nowhere; null: never';
COMMENT ON COLUMN accounting.verified_ids IS 'ids that were drawn until then';
COMMENT ON COLUMN accounting.verified_unaccounted IS 'of them, ids that were nowhere';

-- Ids from before this revision are counted, but their ranges are unknown.
WITH drawn AS MATERIALIZED (
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS ids FROM pgmq.q_model_routing_decisions_msg_id_seq
)
UPDATE accounting SET
    ids_tracked_after = ids,
    verified_ids = ids,
    verified_unaccounted = ids - taken - purged - (SELECT count(*) FROM pgmq.q_model_routing_decisions)
FROM drawn;
