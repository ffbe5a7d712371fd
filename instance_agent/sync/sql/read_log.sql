-- The epoch, and the messages of model_score_updates after the cursor, at most 1000 of them: one round trip for both. Each
-- row has the epoch; without a new message there is one row, and its msg_id is null.
SELECT (SELECT centralcloud.epoch()) AS epoch, log.msg_id, log.enqueued_at, log.message::text AS text
FROM (SELECT) AS always LEFT JOIN centralcloud.score_updates_since(%(cursor)s) AS log ON true
ORDER BY log.msg_id;
