CREATE OR REPLACE FUNCTION centralcloud.ensure_partitions(weeks_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
-- Makes the partitions of routing_records from this week to `weeks_ahead` weeks from now; returns how many were new.
-- A table is made on the side and attached, which unlike CREATE TABLE ... PARTITION OF does not wait for writers.
DECLARE
    first_week timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    week timestamp;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('centralcloud.ensure_partitions'));
    FOR ahead IN 0..weeks_ahead LOOP
        week := first_week + ahead * interval '1 week';
        name := 'routing_records_' || to_char(week, 'IYYY"w"IW');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits WHERE inhparent = 'public.routing_records'::regclass AND inhrelid = to_regclass('public.' || name)
        );
        EXECUTE format('CREATE TABLE public.%I (LIKE public.routing_records INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE public.routing_records ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            name, week AT TIME ZONE 'UTC', (week + interval '1 week') AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
