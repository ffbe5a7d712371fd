-- {role}: a gateway. It does what an instance does, reads the configuration, posts the health of models and feedback, explains
-- requests, exchanges the health of targets with other gateways, takes leases on spend, reads sums of use and the trained
-- classifier; no table and no queue.
{create_role};
{rights}
GRANT EXECUTE ON FUNCTION
    centralcloud.configuration_since, centralcloud.report_model_health, centralcloud.report_feedback,
    centralcloud.submit_feedback, centralcloud.explain_request, centralcloud.report_target_health,
    centralcloud.current_target_health, centralcloud.claim_target_leases, centralcloud.exchange_spend,
    centralcloud.current_spend, centralcloud.usage_totals, centralcloud.usage_by_complexity, centralcloud.usage_escalations,
    centralcloud.usage_until, centralcloud.recent_requests, centralcloud.task_classifier_in_use,
    centralcloud.task_classifier_model, centralcloud.experiment_report
TO {role};
