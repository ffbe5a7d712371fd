-- Revision 0019: feedback that waits. Gateways of revision 0018 call the functions that they know. The table is empty most of
-- the time.
ALTER TABLE waiting_feedback
    ADD COLUMN tried_at timestamptz,
    ADD COLUMN key_id varchar;
CREATE INDEX idx_waiting_feedback_key_id ON waiting_feedback (key_id);
COMMENT ON COLUMN waiting_feedback.tried_at IS 'when maintenance looked for the request last; it waits as long again as the feedback was waiting then';
COMMENT ON COLUMN waiting_feedback.key_id IS 'the key that reported it; empty without one. At most 10,000 rows of one key wait';
