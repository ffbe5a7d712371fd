-- Deletes old score updates; an instance that has missed them reads the snapshot. Scans the table, which holds no more than
-- its retention.
DELETE FROM pgmq.q_model_score_updates WHERE enqueued_at < %(as_of)s - %(retention)s::interval;
