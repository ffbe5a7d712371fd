-- Counters that a run of the learner must find unchanged when it publishes, and why learning is frozen (null: it is not). One row.
SELECT
    revision,
    evidence_generation,
    CASE WHEN frozen_at IS NOT NULL THEN coalesce(frozen_reason, '') END AS frozen_reason
FROM public.learning_control;
