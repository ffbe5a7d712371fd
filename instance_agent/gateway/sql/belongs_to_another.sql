-- Whether a request is known, and belongs to another workspace than this one.
SELECT centralcloud.explain_request(%(request_id)s, %(workspace)s) IS NULL
    AND centralcloud.explain_request(%(request_id)s) IS NOT NULL;
