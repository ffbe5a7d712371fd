-- Revision 0007, taken back. The trigger has kept `state` up to date, so nothing is lost.
DROP TRIGGER sync_rule_state ON rule_scores;
DROP TRIGGER sync_rule_state ON model_scores;
DROP FUNCTION centralcloud.sync_rule_state, centralcloud.add_metrics, centralcloud.add_dropped_metrics;
DROP TYPE centralcloud.metric_delta;
DROP VIEW evidence_of_records;
ALTER TABLE rule_scores
    DROP COLUMN evidence_from, DROP COLUMN earlier_boundaries, DROP COLUMN state_payload,
    DROP COLUMN excluded_instances, DROP COLUMN recomputable;
ALTER TABLE model_scores
    DROP COLUMN evidence_from, DROP COLUMN earlier_boundaries, DROP COLUMN state_payload,
    DROP COLUMN excluded_instances, DROP COLUMN recomputable;
COMMENT ON COLUMN rule_scores.state IS 'what the rule remembers of the pair between runs';
