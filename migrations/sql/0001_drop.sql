-- Revision 0001, taken back. pgmq and the two queues stay: their messages belong to the instances.
DROP FUNCTION
    centralcloud.publish_decision, centralcloud.publish_decisions, centralcloud.score_updates_since,
    centralcloud.current_scores, centralcloud.acknowledge, centralcloud.epoch, centralcloud.ensure_partitions;
DROP VIEW dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times;
DROP TABLE
    database_generation, instances, model_score_history, model_scores, learning_runs, dead_letters, decision_ids,
    evidence, evidence_slices, model_routing_metrics, routing_records;
DROP SEQUENCE model_score_version;
