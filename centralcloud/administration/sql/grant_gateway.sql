-- {role}: a gateway. It does what an instance does, reads the configuration, and posts the health of models and feedback; no
-- table and no queue.
{create_role};
{rights}
GRANT EXECUTE ON FUNCTION centralcloud.configuration_since, centralcloud.report_model_health TO {role};
DO $$
BEGIN
    -- A later revision than that of the configuration adds it.
    IF EXISTS (
        SELECT FROM pg_proc WHERE pronamespace = 'centralcloud'::regnamespace AND proname = 'report_feedback'
    ) THEN
        GRANT EXECUTE ON FUNCTION centralcloud.report_feedback TO {role};
    END IF;
END
$$;
