-- The newest ranges of missing ids, with the times when their neighbours were ingested or sent (or else when the first or last of
-- its 10,000 ids left the queue), the number of all ranges, and that of all ids. Reads all records: for `verify` only.
WITH missing AS MATERIALIZED (
    SELECT
        lower(ids) AS first_id,
        upper(ids) - 1 AS last_id,
        count(*) OVER () AS ranges,
        (sum(upper(ids) - lower(ids)) OVER ())::bigint AS number
    FROM unnest(%(missing)s::int8multirange) AS ids
    ORDER BY first_id DESC
    LIMIT %(limit)s
), neighbour AS (
    SELECT first_id - 1 AS msg_id FROM missing UNION SELECT last_id + 1 FROM missing
), moment AS MATERIALIZED (
    SELECT msg_id, min(at) AS at
    FROM (
        SELECT msg_id, created_at AS at FROM public.routing_records WHERE msg_id IN (SELECT msg_id FROM neighbour)
        UNION ALL
        SELECT msg_id, enqueued_at FROM public.dead_letters WHERE msg_id IN (SELECT msg_id FROM neighbour)
        UNION ALL
        SELECT msg_id, enqueued_at FROM pgmq.q_model_routing_decisions WHERE msg_id IN (SELECT msg_id FROM neighbour)
    ) AS known
    GROUP BY msg_id
)
SELECT
    first_id,
    last_id,
    coalesce(
        (SELECT at FROM moment WHERE msg_id = first_id - 1),
        (SELECT first_at FROM public.message_ids WHERE block = (first_id - 1) / 10000 AND handled @> first_id - 1)
    ) AS after,
    coalesce(
        (SELECT at FROM moment WHERE msg_id = last_id + 1),
        (SELECT last_at FROM public.message_ids WHERE block = (last_id + 1) / 10000 AND handled @> last_id + 1)
    ) AS before,
    ranges,
    number
FROM missing
ORDER BY first_id DESC;
