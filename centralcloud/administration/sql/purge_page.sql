-- Removes the old messages of one page of the queue, in the order of ids, except those that a consumer has locked. Returns the
-- last id of the page (null: there are no more) and how many messages were removed. Served by the queue's primary key.
WITH page AS MATERIALIZED (
    SELECT msg_id FROM pgmq.q_model_routing_decisions
    WHERE msg_id > %(after)s ORDER BY msg_id LIMIT %(page_size)s
), old AS MATERIALIZED (
    SELECT q.msg_id FROM pgmq.q_model_routing_decisions q JOIN page USING (msg_id)
    WHERE q.enqueued_at < %(before)s
    FOR UPDATE OF q SKIP LOCKED
), removed AS (
    DELETE FROM pgmq.q_model_routing_decisions q USING old WHERE q.msg_id = old.msg_id RETURNING q.msg_id
), counted AS (
    UPDATE public.accounting SET purged = purged + (SELECT count(*) FROM removed) WHERE EXISTS (SELECT FROM removed)
    RETURNING only_row
), noted AS (
    INSERT INTO public.message_ids AS m (block, handled)
    SELECT msg_id / 10000, range_agg(int8range(msg_id, msg_id, '[]'))
    FROM counted CROSS JOIN removed
    GROUP BY 1
    ORDER BY 1
    ON CONFLICT (block) DO UPDATE SET handled = m.handled + excluded.handled, last_at = excluded.last_at
)
SELECT (SELECT max(msg_id) FROM page) AS last_msg_id, (SELECT count(*) FROM removed) AS purged;
