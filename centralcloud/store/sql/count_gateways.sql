-- Gateways that are alive, or were: instances that were seen lately, and have sent requests with an id among the newest 20,000
-- records. Served by the primary key of the partitions, backwards.
SELECT count(*)
FROM public.instances
WHERE last_seen_at > now() - %(within)s::interval
  AND instance_id IN (
      SELECT instance_id
      FROM (SELECT instance_id, request_id FROM public.routing_records ORDER BY id DESC LIMIT 20000) AS newest
      WHERE request_id IS NOT NULL
  );
