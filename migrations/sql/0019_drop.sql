DROP FUNCTION centralcloud.submit_feedback;
DROP INDEX idx_waiting_feedback_key_id;
ALTER TABLE waiting_feedback DROP COLUMN tried_at, DROP COLUMN key_id;
