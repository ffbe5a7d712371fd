-- The ids that the newest answers of models name, that do not count yet and never did; not where ids alternate by now. With the slice
-- before the first of these answers in a row, and the instances whose newest answer names the id; oldest first. Served by the
-- primary key, which is skipped through for the streams of all instances (7 ms with 100 models and 1,000 instances), and by
-- idx_model_changes_model.
SELECT
    fleet.model_name AS model,
    fleet.newest AS version,
    fleet.run_after_slice AS after_slice,
    array(
        SELECT one.instance_id
        FROM public.model_versions one
        WHERE one.model_name = fleet.model_name AND one.provider = fleet.provider AND one.instance_id <> %(fleet)s
          AND one.newest = fleet.newest
        ORDER BY one.instance_id
    ) AS instances
FROM public.model_versions fleet
WHERE fleet.instance_id = %(fleet)s
  AND fleet.newest <> fleet.version
  AND fleet.switches < %(alternating_switches)s
  AND NOT EXISTS (
      SELECT FROM public.model_versions known WHERE known.model_name = fleet.model_name AND known.version = fleet.newest
  )
  AND NOT EXISTS (
      SELECT FROM public.model_changes known
      WHERE known.model_name = fleet.model_name AND fleet.newest IN (known.version_before, known.version_after)
  )
ORDER BY fleet.run_after_slice, fleet.model_name, fleet.provider;
