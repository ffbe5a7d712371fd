-- Those of some duplicates, by position, that are not a resend of a record: none of the same decision and moment says the same. A
-- resend is the same event, with the same time. `known`: whether the id is stored, as that of a duplicate must be. Left out: decisions whose records retention may have dropped. Served by
-- idx_routing_records_timestamp, and by primary keys. `other`: events of a name beyond the limits are recorded under it.
SELECT position::integer AS position, d.decision_id IS NOT NULL AS known
FROM ROWS FROM (
    json_array_elements_text(%(instance_ids)s),
    json_array_elements_text(%(decision_ids)s),
    json_array_elements_text(%(timestamps)s),
    json_array_elements_text(%(outcomes)s),
    json_array_elements_text(%(models)s),
    json_array_elements_text(%(response_times)s)
) WITH ORDINALITY AS e (instance_id, decision_id, timestamp, outcome, model, response_time_ms, position)
LEFT JOIN public.decision_ids d USING (instance_id, decision_id)
WHERE d.decision_id IS NULL OR d.created_at >= (SELECT created_at FROM public.routing_records ORDER BY id LIMIT 1)
  AND NOT EXISTS (
      SELECT FROM public.routing_records r
      WHERE r.timestamp = e.timestamp::timestamptz AND r.instance_id = e.instance_id AND r.decision_id = e.decision_id
        AND r.outcome = e.outcome AND r.model IN (e.model, %(other)s)
        AND r.response_time_ms IS NOT DISTINCT FROM e.response_time_ms::integer
  )
ORDER BY position;
