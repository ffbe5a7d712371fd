-- {role}: a gateway. It does what an instance does, reads the configuration, posts the health of models and feedback, and explains
-- requests; no table and no queue.
{create_role};
{rights}
GRANT EXECUTE ON FUNCTION
    centralcloud.configuration_since, centralcloud.report_model_health, centralcloud.report_feedback,
    centralcloud.explain_request
TO {role};
