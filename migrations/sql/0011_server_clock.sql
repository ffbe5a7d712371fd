-- Revision 0011: partitions that sidestep other tables, and the server's clock as the daemons have seen it.
-- Expands only: workers of revision 0010 go on beside it.

CREATE TABLE server_clock (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_at         timestamptz,
    retention_as_of timestamptz,
    jumped_at       timestamptz,
    jump_seconds    double precision,
    steady_from     timestamptz
);
INSERT INTO server_clock DEFAULT VALUES;
COMMENT ON TABLE server_clock IS 'the server''s clock as the daemons have seen it: retention deletes nothing after a jump. One row';
COMMENT ON COLUMN server_clock.seen_at IS 'the server''s time when a daemon last looked, about once a minute';
COMMENT ON COLUMN server_clock.retention_as_of IS 'the time from which the last round of retention counted back';
COMMENT ON COLUMN server_clock.jumped_at IS 'the server''s time at the newest jump of its clock; null: none was seen';
COMMENT ON COLUMN server_clock.jump_seconds IS 'how far the clock jumped, negative: back';
COMMENT ON COLUMN server_clock.steady_from IS 'retention waits until this time; null: it does not wait';
