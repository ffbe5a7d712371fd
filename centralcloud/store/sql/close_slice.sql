-- Closes the open slice when anything is in it, and opens the next. Returns the newest closed slice, 0 when there is none.
-- Served by the primary key of evidence_slices; accounting has one row.
WITH open AS (
    SELECT slice_no, records_before FROM evidence_slices ORDER BY slice_no DESC LIMIT 1
), closed AS (
    UPDATE evidence_slices s SET closed_at = clock_timestamp()
    FROM open, accounting
    WHERE s.slice_no = open.slice_no AND accounting.records <> open.records_before
    RETURNING s.slice_no, accounting.records
), opened AS (
    INSERT INTO evidence_slices (slice_no, records_before) SELECT slice_no + 1, records FROM closed
)
SELECT coalesce((SELECT slice_no FROM closed), (SELECT slice_no - 1 FROM open));
