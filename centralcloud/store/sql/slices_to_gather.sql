-- Slices whose evidence is not there yet, the open one included, for a look at it. Holds nothing: nobody is to wait for a look.
-- Served by the partial index idx_evidence_slices_ungathered.
SELECT slice_no FROM evidence_slices WHERE gathered_at IS NULL ORDER BY slice_no;
