-- The sessions that have claimed an instance id. The address is null for a session on a Unix socket, and for one of another
-- role; so is the time of the latter.
SELECT pid, host(client_addr) AS address, backend_start AS since
FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
WHERE
    locktype = 'advisory'
    AND granted
    AND objsubid = 2  -- the form with two keys
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = hashtext(%(claim)s) & 4294967295
    AND objid::bigint = hashtext(%(instance_id)s) & 4294967295
ORDER BY pid;
