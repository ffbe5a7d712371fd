-- Counters that a run of the learner must find unchanged when it publishes, the history that they belong to, the newest slice up
-- to which all evidence is complete, and why learning is frozen (null: it is not). One row. A restart of the server counts as
-- another history: commits that it had not written to disk are lost, or its files were replaced by a copy of them.
SELECT
    centralcloud.epoch() || '@' || extract(epoch FROM pg_postmaster_start_time()) AS history,
    coalesce(
        (SELECT min(slice_no) - 1 FROM public.evidence_slices WHERE gathered_at IS NULL),
        (SELECT max(slice_no) FROM public.evidence_slices),
        0
    ) AS through_slice,
    revision,
    evidence_generation,
    CASE WHEN frozen_at IS NOT NULL THEN coalesce(frozen_reason, '') END AS frozen_reason
FROM public.learning_control;
