-- Messages that stand in the records more than once. A queue that was dropped and made again gives its ids again, to other
-- events: so the event is compared too. Goes through all records: for `verify` only.
SELECT msg_id, count(*) AS records
FROM routing_records
WHERE msg_id IS NOT NULL
GROUP BY msg_id, timestamp, instance_id, model, complexity, outcome, decision_id
HAVING count(*) > 1
ORDER BY msg_id;
