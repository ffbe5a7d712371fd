CREATE OR REPLACE FUNCTION centralcloud.ensure_partitions(weeks_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
-- Creates the missing partitions of routing_records from this week to `weeks_ahead` weeks from now; returns how many. A week
-- is present when an attached partition covers it, whatever its name. Each week is created by itself: one that cannot be
-- created is a warning and does not prevent the others.
-- A table is created by itself and attached, which unlike CREATE TABLE ... PARTITION OF does not wait for writers.
-- A table that has the name already is attached when it is an empty partition that was detached: it belongs to the owner of
-- routing_records, and has its columns. Any other keeps its name, and the partition gets another one.
DECLARE
    parent constant regclass := 'public.routing_records';
    first_week timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    since timestamptz;
    until timestamptz;
    base text;
    name text;
    taken regclass;
    usable boolean;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('centralcloud.ensure_partitions'));
    <<weeks>>
    FOR ahead IN 0..weeks_ahead LOOP
        since := (first_week + ahead * interval '1 week') AT TIME ZONE 'UTC';
        until := (first_week + (ahead + 1) * interval '1 week') AT TIME ZONE 'UTC';
        CONTINUE weeks WHEN EXISTS (
            SELECT
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS bound
            WHERE i.inhparent = parent AND bound LIKE 'FOR VALUES FROM%'
              AND coalesce(substring(bound FROM $re$FROM \('([^']+)'\)$re$)::timestamptz, '-infinity') <= since
              AND coalesce(substring(bound FROM $re$TO \('([^']+)'\)$re$)::timestamptz, 'infinity') >= until
        );
        base := 'routing_records_' || to_char(since AT TIME ZONE 'UTC', 'IYYY"w"IW');
        <<names>>
        FOR attempt IN 1..10 LOOP
            name := base || CASE WHEN attempt > 1 THEN '_' || attempt ELSE '' END;
            BEGIN
                taken := to_regclass(format('public.%I', name));
                IF taken IS NOT NULL THEN
                    usable := EXISTS (
                        SELECT
                        FROM pg_class c JOIN pg_class p ON p.oid = parent
                        WHERE c.oid = taken AND c.relkind = 'r' AND NOT c.relispartition AND c.relowner = p.relowner
                    );
                    IF usable THEN
                        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', name);
                        EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', name) INTO usable;
                    END IF;
                    CONTINUE names WHEN NOT usable;
                ELSE
                    EXECUTE format(
                        'CREATE TABLE public.%I (LIKE public.routing_records INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name
                    );
                END IF;
                EXECUTE format(
                    'ALTER TABLE public.routing_records ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                    name, since, until
                );
                made := made + 1;
                IF attempt > 1 THEN
                    RAISE WARNING USING MESSAGE = format(
                        'public.%s exists and is not an empty partition: the partition of the week of %s is %s',
                        base, since::date, name
                    );
                END IF;
                EXIT names;
            EXCEPTION
                WHEN object_not_in_prerequisite_state OR transaction_rollback OR insufficient_resources
                    OR operator_intervention OR insufficient_privilege THEN
                    RAISE;  -- the same would happen to every week, or another transaction is in the way
                WHEN duplicate_table OR duplicate_object THEN
                    NULL;  -- a type or another object has the name: try the next one
                WHEN others THEN
                    IF taken IS NULL THEN
                        RAISE WARNING USING MESSAGE = format(
                            'the partition of the week of %s cannot be created: %s', since::date, SQLERRM
                        );
                        EXIT names;
                    END IF;  -- the table that has the name has other columns: try the next one
            END;
            IF attempt = 10 THEN
                RAISE WARNING USING MESSAGE = format(
                    'the partition of the week of %s cannot be created: %s and nine more names are taken', since::date, base
                );
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
