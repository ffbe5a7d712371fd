CREATE OR REPLACE FUNCTION centralcloud.repair_sequences()
RETURNS TABLE (sequence_name text, table_name text, last_value bigint, newest bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
-- Sets every sequence that is behind its table to the greatest number of the table. Returns these sequences as they were.
-- The lock waits for the transactions that are adding rows, and keeps others from it until the end: all of them draw numbers,
-- and the table may have a greater one than before.
DECLARE
    behind record;
BEGIN
    FOR behind IN
        SELECT p.sequence_name, p.table_name FROM centralcloud.sequence_positions(count_queue => true) p WHERE p.last_value < p.newest
    LOOP
        IF behind.sequence_name = 'public.model_score_version' THEN
            PERFORM pg_advisory_xact_lock(hashtext('centralcloud.scores'));
        ELSE
            EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', behind.table_name::regclass);
        END IF;
        SELECT p.sequence_name, p.table_name, p.last_value, p.newest
        INTO sequence_name, table_name, last_value, newest
        FROM centralcloud.sequence_positions(count_queue => true) p
        WHERE p.sequence_name = behind.sequence_name;
        IF last_value < newest THEN
            PERFORM setval(sequence_name::regclass, newest);
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION centralcloud.repair_sequences IS 'raises every sequence that is behind its table; returns these sequences as they were';
