-- Lists the slices without evidence, the open one included, for a preview. Locks nothing, so that a preview blocks no writer.
-- Served by the partial index idx_evidence_slices_ungathered.
SELECT slice_no FROM public.evidence_slices WHERE gathered_at IS NULL ORDER BY slice_no;
