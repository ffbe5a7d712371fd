-- Sets the last reported score of one pair to the recounted one, unless a newer message arrived since the recount: that one is
-- right. Served by the unique key.
UPDATE public.model_routing_metrics
SET last_reported_score = %(last_reported_score)s, last_reported_msg_id = %(last_reported_msg_id)s
WHERE model_name = %(model_name)s
  AND complexity_level = %(complexity_level)s
  AND last_reported_msg_id IS NOT DISTINCT FROM %(stored_msg_id)s::bigint;
