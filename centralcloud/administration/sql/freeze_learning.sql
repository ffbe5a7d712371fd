-- Freezing again keeps the time of the first freeze. Returns the reason before; null when nothing was frozen.
UPDATE public.learning_control SET frozen_at = coalesce(frozen_at, now()), frozen_reason = %(reason)s, revision = revision + 1
RETURNING (SELECT frozen_reason FROM public.learning_control WHERE frozen_at IS NOT NULL);
