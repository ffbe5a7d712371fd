DROP FUNCTION centralcloud.repair_sequences, centralcloud.sequence_positions;
DROP TABLE message_ids;
ALTER TABLE accounting
    DROP COLUMN ids_tracked_after, DROP COLUMN verified_at, DROP COLUMN verified_ids, DROP COLUMN verified_unaccounted;
