-- Stores the health of a model for some seconds; returns when it expires.
SELECT centralcloud.report_model_health(%(model_id)s, %(health)s::jsonb, %(ttl_seconds)s);
