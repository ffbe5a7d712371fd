-- Revision 0002, taken back. Counters and evidence keep what dropped records had added.
-- Revision 0001 counts evidence with each batch: what is still to be gathered is gathered now.
INSERT INTO evidence (
    slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
    response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd
)
SELECT
    slice_no, model, complexity, provider, instance_id,
    count(*) FILTER (WHERE outcome = 'routed'),
    count(*) FILTER (WHERE outcome = 'success'),
    count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless),
    count(*) FILTER (WHERE blameless),
    count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless),
    coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0),
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    coalesce(sum(cost_usd), 0)
FROM (
    SELECT r.*, outcome = 'failure' AND coalesce(error_kind IN ('caller', 'policy'), false) AS blameless
    FROM routing_records r JOIN evidence_slices USING (slice_no)
    WHERE gathered_at IS NULL
) AS record
GROUP BY slice_no, model, complexity, provider, instance_id;

ALTER FUNCTION centralcloud.ensure_partitions RESET datestyle RESET timezone;
DROP FUNCTION centralcloud.drop_expired_partition;
DROP VIEW dashboard_hourly_performance;
DROP TABLE accounting, dropped_metrics, dropped_evidence, ingest_workers, model_performance;
DROP INDEX idx_evidence_slices_ungathered, idx_dead_letters_resolved_at;
ALTER TABLE routing_records DROP COLUMN msg_id, DROP COLUMN first_of_decision;
DELETE FROM dead_letters WHERE resolution IS NOT NULL;
ALTER TABLE dead_letters DROP COLUMN resolution, DROP COLUMN resolved_at, DROP COLUMN replayed_msg_id;
ALTER TABLE evidence_slices DROP COLUMN after_record_id, DROP COLUMN gathered_at, DROP COLUMN merged_from;
ALTER TABLE evidence ADD CONSTRAINT evidence_slice_no_fkey FOREIGN KEY (slice_no) REFERENCES evidence_slices;
