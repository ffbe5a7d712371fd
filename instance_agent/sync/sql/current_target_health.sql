-- All reports that still count: one for each target that is not well, and one for each health check.
SELECT kind, key, reporter, state, reason, reported_at, seconds_left, extract(epoch FROM now() - reported_at)::double precision AS age_seconds
FROM centralcloud.current_target_health();
