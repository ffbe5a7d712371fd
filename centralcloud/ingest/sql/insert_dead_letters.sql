INSERT INTO public.dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
SELECT 'model_routing_decisions', letter.*
FROM unnest(
    %(msg_id)s::bigint[], %(enqueued_at)s::timestamptz[], %(message)s::text[], %(reason)s::text[], %(field)s::varchar[]
) AS letter;
