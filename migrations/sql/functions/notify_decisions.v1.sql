CREATE OR REPLACE FUNCTION centralcloud.notify_decisions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- PostgreSQL wakes every session of the database that listens, on whatever channel, for each commit that notifies. So all publishers
-- together notify once in 100 ms, not each of them. The sequence holds the time of the newest notification, and needs no row lock:
-- no publisher waits for another one, and of those that come at the same instant two may notify.
--
-- An event that is sent less than 100 ms after a notification has none of its own. The consumers look again for 0.2 s after each
-- notification (ingest/consumer.py), so its commit may take another 100 ms; after that it waits for the next notification or poll.
--
-- setval is not transactional. The notification of a transaction that rolls back, or that commits late, keeps others from theirs for
-- these 100 ms, and no longer: whatever then becomes of the transaction, the sequence only holds a time. After a rollback the
-- events of others in these 100 ms wait for the next notification or poll, as after any that is lost. A time in the future does
-- not count (the clock was set back, or is that of another server after a failover or a restore), nor does an old one (after a
-- restore, or a crash that lost it) or 0 (in a copy without the values of sequences).
DECLARE
    now_ms constant bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    notified_ms constant bigint := (SELECT last_value FROM centralcloud.decisions_notified_ms);
BEGIN
    IF now_ms - notified_ms NOT BETWEEN 0 AND 99 THEN
        PERFORM setval('centralcloud.decisions_notified_ms', now_ms);
        PERFORM pg_notify('centralcloud_decisions', '');
    END IF;
END
$$;

COMMENT ON FUNCTION centralcloud.notify_decisions IS
    'wakes the consumers at commit, unless a transaction has done so less than 100 ms ago: consumers look again for 200 ms after each notification';
