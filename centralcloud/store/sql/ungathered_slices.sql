-- Lists the closed slices without evidence, oldest first. Locks them until the transaction ends, so that the evidence of each is
-- gathered once. Served by the partial index idx_evidence_slices_ungathered.
SELECT slice_no FROM public.evidence_slices
WHERE gathered_at IS NULL AND closed_at IS NOT NULL
ORDER BY slice_no FOR UPDATE;
