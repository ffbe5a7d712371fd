-- The epoch, and the next messages of model_score_updates after the cursor: one round trip for both. At most 1000 messages, and
-- of those as many as have max_bytes together, but at least one. The text of a message that is too large is null.
-- Each row has the epoch, and whether there may be more messages. Without a new message there is one row, and its msg_id is null.
WITH log AS MATERIALIZED (
    SELECT msg_id, enqueued_at, message::text AS text, octet_length(message::text) AS size_bytes
    FROM centralcloud.score_updates_since(%(cursor)s)
), page AS MATERIALIZED (
    SELECT msg_id, enqueued_at, size_bytes, CASE WHEN size_bytes <= %(max_message_bytes)s THEN text END AS text
    FROM (
        SELECT *, sum(least(size_bytes, %(max_message_bytes)s)) OVER (ORDER BY msg_id) AS total FROM log
    ) AS summed
    WHERE total <= %(max_bytes)s OR msg_id = (SELECT min(msg_id) FROM log)
)
SELECT
    (SELECT centralcloud.epoch()) AS epoch,
    (SELECT count(*) FROM log) >= 1000 OR (SELECT count(*) FROM page) < (SELECT count(*) FROM log) AS more,
    page.msg_id, page.enqueued_at, page.text, page.size_bytes
FROM (SELECT) AS always LEFT JOIN page ON true
ORDER BY page.msg_id;
