-- Outcomes in a row with the same id, in the order of their records: of each instance, and of all together (an empty instance_id).
-- Only the runs that matter: the first and the last of a stream, and those that are long enough to count. Served by the primary key
-- of each partition: the cost is that of the slices' own records. `after_slice`: the slice before that of the run's first outcome,
-- or that slice itself if another id was seen in it before.
WITH outcome AS MATERIALIZED (
    SELECT id, slice_no, model, provider, instance_id, model_version
    FROM public.routing_records
    JOIN unnest(%(models)s::varchar[], %(providers)s::varchar[]) AS wanted (model, provider) USING (model, provider)
    WHERE id > %(after_record_id)s AND id <= %(through_record_id)s
      AND model_version IS NOT NULL AND outcome <> 'routed' AND created_at - timestamp <= interval '1 hour'
), stream AS (
    SELECT * FROM outcome
    UNION ALL
    SELECT id, slice_no, model, provider, '', model_version FROM outcome
), compared AS (
    SELECT
        *,
        model_version IS DISTINCT FROM lag(model_version) OVER before AS begins,
        coalesce(slice_no = lag(slice_no) OVER before, false) AS is_behind
    FROM stream
    WINDOW before AS (PARTITION BY model, provider, instance_id ORDER BY id)
), numbered AS (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY model, provider, instance_id ORDER BY id) AS number
    FROM compared
), run AS (
    SELECT
        model, provider, instance_id, number,
        min(model_version) AS version,
        count(*) AS outcomes,
        min(slice_no) - CASE WHEN bool_or(begins AND is_behind) THEN 0 ELSE 1 END AS after_slice
    FROM numbered
    GROUP BY model, provider, instance_id, number
), counted AS (
    SELECT *, max(number) OVER (PARTITION BY model, provider, instance_id) AS runs FROM run
)
SELECT * FROM counted
WHERE number IN (1, runs) OR outcomes >= CASE WHEN instance_id = '' THEN %(of_fleet)s ELSE %(of_instance)s END
ORDER BY model, provider, instance_id, number;
