-- Who holds others up, or holds a lock under which nobody else writes to a table of ours. Whoever waits is in the way of
-- others only because of whom it waits for. Looks at what every role may see.
WITH ours AS (
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
), waiting AS (
    SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM ours)
), held AS (
    SELECT l.pid, l.mode || ' on ' || string_agg(DISTINCT l.relation::regclass::text, ', ') AS what
    FROM pg_locks l
    JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND l.locktype = 'relation' AND c.relkind IN ('r', 'p')
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND c.relnamespace IN (to_regnamespace('public'), to_regnamespace('pgmq'), to_regnamespace('centralcloud'))
    GROUP BY l.pid, l.mode
), holders AS (
    SELECT blocker AS pid, count(DISTINCT w.pid) AS held_up
    FROM waiting w, unnest(pg_blocking_pids(w.pid)) AS blocker
    GROUP BY blocker
    UNION ALL
    SELECT pid, 0 FROM held
)
SELECT
    (SELECT min(virtualtransaction) FROM pg_locks WHERE pid = a.pid) AS transaction,
    concat_ws(
        ', ', 'process ' || a.pid, nullif(a.application_name, ''), a.usename, a.state,
        (SELECT string_agg(what, ', ' ORDER BY what) FROM held WHERE held.pid = a.pid),
        nullif(max(h.held_up), 0) || ' waiting'
    ) AS who
FROM holders h
JOIN pg_stat_activity a ON a.pid = h.pid
WHERE a.pid <> pg_backend_pid() AND a.pid NOT IN (SELECT pid FROM waiting)
GROUP BY a.pid, a.application_name, a.usename, a.state
ORDER BY max(h.held_up) DESC, a.pid;
