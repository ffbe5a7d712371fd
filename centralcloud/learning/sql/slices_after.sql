-- The slices after one and through another (NULL: also the open one). Served by the primary key.
SELECT slice_no, opened_at FROM public.evidence_slices
WHERE slice_no > %(after_slice)s AND slice_no <= coalesce(%(through_slice)s, 9223372036854775807)
ORDER BY slice_no;
