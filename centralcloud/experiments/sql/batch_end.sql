-- When the record after so many others of an experiment was decided. Served by idx_routing_records_experiment.
SELECT timestamp
FROM public.routing_records
WHERE experiment = %(experiment)s AND timestamp >= %(since)s AND timestamp < %(until)s
ORDER BY timestamp
OFFSET %(records)s LIMIT 1;
