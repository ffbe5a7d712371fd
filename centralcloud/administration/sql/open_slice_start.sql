-- Records of the open slice, and of later ones, have greater ids than this. Served by the primary key.
SELECT after_record_id FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1;
