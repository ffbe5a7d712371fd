CREATE OR REPLACE FUNCTION centralcloud.usage_until() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.rolled_up_until FROM public.roll_up_progress AS p
$$;
COMMENT ON FUNCTION centralcloud.usage_until IS 'through when the sums of use have the records; null: not begun';
