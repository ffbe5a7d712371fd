-- Returns since when and why learning was frozen; no row when it was not.
UPDATE public.learning_control c SET frozen_at = NULL, frozen_reason = NULL, revision = c.revision + 1
FROM (SELECT frozen_at::text, frozen_reason AS reason FROM public.learning_control WHERE frozen_at IS NOT NULL) AS before
WHERE c.frozen_at IS NOT NULL
RETURNING before.frozen_at, before.reason;
