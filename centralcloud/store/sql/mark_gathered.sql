UPDATE evidence_slices SET gathered_at = clock_timestamp() WHERE slice_no = %(slice_no)s;
