-- Closes the open slice if it has records, and opens the next. Returns the newest closed slice, 0 when there is none.
-- Served by the primary key of evidence_slices, and by that of each partition. While the slice is locked, every transaction
-- that has drawn a record id has ended, so the greatest id of the table is the newest one; the sequence may say anything, in a
-- copy of the tables. The slice gets the references that are valid now; those of the slice that is opened here are set again
-- when it is closed.
WITH open AS (
    SELECT slice_no, after_record_id FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1
), newest AS MATERIALIZED (
    SELECT coalesce(max(id), 0) AS record_id FROM public.routing_records
), closed AS (
    UPDATE public.evidence_slices s SET
        closed_at = clock_timestamp(), latency_ref_ms = %(latency_ref_ms)s, cost_ref_usd = %(cost_ref_usd)s
    FROM open, newest
    WHERE s.slice_no = open.slice_no AND newest.record_id > open.after_record_id
    RETURNING s.slice_no, newest.record_id
), opened AS (
    INSERT INTO public.evidence_slices (slice_no, after_record_id, latency_ref_ms, cost_ref_usd)
    SELECT slice_no + 1, record_id, %(latency_ref_ms)s, %(cost_ref_usd)s FROM closed
)
SELECT coalesce((SELECT slice_no FROM closed), (SELECT slice_no - 1 FROM open));
