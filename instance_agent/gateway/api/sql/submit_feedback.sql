-- Report feedback of a client on a request; the status unknown: it belongs to another workspace.
SELECT status, learned
FROM centralcloud.submit_feedback(
    %(request_id)s, %(success)s, %(reward)s, %(comment)s, %(user_id)s, %(workspace)s, %(key_id)s
);
