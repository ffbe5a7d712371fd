-- The newest requests as JSON, of a workspace or of all.
SELECT request::text FROM centralcloud.recent_requests(%(most)s::integer, %(workspace)s::text) AS request;
