-- Forgets old score updates; an instance that has not read them takes the snapshot. The table is as small as its retention.
DELETE FROM pgmq.q_model_score_updates WHERE enqueued_at < now() - %(retention)s::interval;
