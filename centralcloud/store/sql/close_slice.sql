-- Closes the open slice when anything is in it, and opens the next. Returns the newest closed slice, 0 when there is none.
-- Looks for evidence pair by pair, which the primary key of evidence serves.
WITH open AS (
    SELECT max(slice_no) AS slice_no FROM evidence_slices
), closed AS (
    UPDATE evidence_slices s SET closed_at = clock_timestamp()
    FROM open
    WHERE s.slice_no = open.slice_no AND EXISTS (
        SELECT FROM model_routing_metrics m
        JOIN evidence e USING (model_name, complexity_level)
        WHERE e.slice_no = open.slice_no
    )
    RETURNING s.slice_no
), opened AS (
    INSERT INTO evidence_slices (slice_no) SELECT slice_no + 1 FROM closed
)
SELECT coalesce((SELECT slice_no FROM closed), (SELECT slice_no - 1 FROM open));
