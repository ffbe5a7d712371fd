-- The slice that is open now. A statement of its own after the lock, so that it sees what the lock waited for.
SELECT max(slice_no) FROM evidence_slices;
