-- The records of an experiment by the minute of their decision, in a span of time. Served by idx_routing_records_experiment.
SELECT floor(extract(epoch FROM timestamp) * 1000000 / %(minute)s)::bigint AS minute, count(*) AS records
FROM public.routing_records
WHERE experiment = %(experiment)s AND timestamp >= %(since)s AND timestamp < %(until)s
GROUP BY 1;
