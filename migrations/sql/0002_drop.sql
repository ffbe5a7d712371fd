-- Revision 0002, taken back. Counters and evidence keep what dropped records had added.
DROP FUNCTION centralcloud.drop_expired_partition;
DROP VIEW dashboard_hourly_performance;
DROP TABLE accounting, dropped_metrics, dropped_evidence, ingest_workers, model_performance;
DROP INDEX idx_evidence_slices_ungathered, idx_dead_letters_resolved_at;
ALTER TABLE routing_records DROP COLUMN msg_id, DROP COLUMN first_of_decision;
DELETE FROM dead_letters WHERE resolution IS NOT NULL;
ALTER TABLE dead_letters DROP COLUMN resolution, DROP COLUMN resolved_at, DROP COLUMN replayed_msg_id;
ALTER TABLE evidence_slices DROP COLUMN after_record_id, DROP COLUMN gathered_at, DROP COLUMN merged_from;
ALTER TABLE evidence ADD CONSTRAINT evidence_slice_no_fkey FOREIGN KEY (slice_no) REFERENCES evidence_slices;
