-- Report feedback on a request.
SELECT status, learned
FROM centralcloud.report_feedback(%(request_id)s, %(success)s, %(reward)s, %(comment)s, %(user_id)s);
