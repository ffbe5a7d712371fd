-- Transactions that block others, or that hold a lock under which no other transaction can write to a table of CentralCloud.
-- A transaction that waits itself is left out: it blocks others only because of the one that it waits for. Reads views that
-- every role may read.
WITH this_database AS (
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
), waiting AS (
    SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM this_database)
), held AS (
    SELECT l.pid, l.mode || ' on ' || string_agg(DISTINCT l.relation::regclass::text, ', ') AS locks
    FROM pg_locks l
    JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND l.locktype = 'relation' AND c.relkind IN ('r', 'p')
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND c.relnamespace IN (to_regnamespace('public'), to_regnamespace('pgmq'), to_regnamespace('centralcloud'))
    GROUP BY l.pid, l.mode
), holders AS (
    SELECT blocker AS pid, count(DISTINCT w.pid) AS blocked
    FROM waiting w, unnest(pg_blocking_pids(w.pid)) AS blocker
    GROUP BY blocker
    UNION ALL
    SELECT pid, 0 FROM held
)
SELECT
    (SELECT min(virtualtransaction) FROM pg_locks WHERE pid = a.pid) AS transaction,
    concat_ws(
        ', ', 'process ' || a.pid, nullif(a.application_name, ''), a.usename, a.state,
        (SELECT string_agg(locks, ', ' ORDER BY locks) FROM held WHERE held.pid = a.pid),
        nullif(max(h.blocked), 0) || ' waiting'
    ) AS holder
FROM holders h
JOIN pg_stat_activity a ON a.pid = h.pid
WHERE a.pid <> pg_backend_pid() AND a.pid NOT IN (SELECT pid FROM waiting)
GROUP BY a.pid, a.application_name, a.usename, a.state
ORDER BY max(h.blocked) DESC, a.pid;
