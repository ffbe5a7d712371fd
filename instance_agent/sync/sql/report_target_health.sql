-- Reports the health of targets, and notifies the other gateways of what is new.
SELECT centralcloud.report_target_health(%(reporter)s, %(reports)s::jsonb);
