-- The newest slice whose outcomes model_versions has, the newest one whose evidence is complete, and the records of the slices in
-- between: those with ids above the first and up to the second. Served by primary keys.
SELECT
    versions_through_slice AS done,
    through.slice_no AS through_slice,
    coalesce((
        SELECT after_record_id FROM public.evidence_slices WHERE slice_no > versions_through_slice ORDER BY slice_no LIMIT 1
    ), 0) AS after_record_id,
    coalesce((
        SELECT after_record_id FROM public.evidence_slices WHERE slice_no > through.slice_no ORDER BY slice_no LIMIT 1
    ), 9223372036854775807) AS through_record_id
FROM public.learning_control
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT min(slice_no) - 1 FROM public.evidence_slices WHERE gathered_at IS NULL),
        (SELECT max(slice_no) FROM public.evidence_slices),
        0
    ) AS slice_no
) AS through;
