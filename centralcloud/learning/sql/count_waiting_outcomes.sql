-- Number of outcomes in the open slice, up to a limit. Served by the primary key of the newest partition.
SELECT count(*) FROM (
    SELECT 1 FROM public.routing_records
    WHERE id > (SELECT after_record_id FROM public.evidence_slices ORDER BY slice_no DESC LIMIT 1) AND outcome <> 'routed'
    ORDER BY id LIMIT %(limit)s
) AS waiting;
