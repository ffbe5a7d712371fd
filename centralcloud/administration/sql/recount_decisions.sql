-- Decisions of which one phase was recorded twice within a day, by instance: their records, how many there should be, and the first
-- of them. Ids are remembered for a day at least; later on, a resend counts again on purpose. Reads all records: for `verify` only.
SELECT
    instance_id, min(decision_id COLLATE "C") AS decision_id, sum(records)::bigint AS records, count(*) AS expected
FROM (
    SELECT instance_id, decision_id, count(*) AS records
    FROM public.routing_records
    WHERE decision_id IS NOT NULL
    GROUP BY instance_id, decision_id, outcome = 'routed'
    HAVING count(*) > 1 AND max(created_at) - min(created_at) < interval '1 day'
) AS twice
GROUP BY instance_id
ORDER BY instance_id COLLATE "C";
