-- Messages that are recorded more than once. A queue that was dropped and created again gives its ids to other events: so the
-- events are compared, too. Reads all records: for `verify` only.
SELECT msg_id, count(*) AS records
FROM public.routing_records
WHERE msg_id IS NOT NULL
GROUP BY msg_id, timestamp, instance_id, model, complexity, outcome, decision_id
HAVING count(*) > 1
ORDER BY msg_id;
