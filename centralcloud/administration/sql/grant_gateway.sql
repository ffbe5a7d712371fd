-- {role}: a gateway. It does what an instance does, reads the configuration, and posts the health of models and feedback; no
-- table and no queue.
{create_role};
{rights}
GRANT EXECUTE ON FUNCTION
    centralcloud.configuration_since, centralcloud.report_model_health, centralcloud.report_feedback
TO {role};
