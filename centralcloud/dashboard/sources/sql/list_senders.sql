-- Which instances have sent requests of a workspace or with a request id among the newest 20,000 records: gateways do, routers
-- that use the library do not. Served by the primary key of the partitions, backwards.
SELECT instance_id, bool_or(request_id IS NOT NULL) AS is_gateway
FROM (
    SELECT instance_id, request_id FROM public.routing_records ORDER BY id DESC LIMIT 20000
) AS newest
GROUP BY instance_id
ORDER BY instance_id;
