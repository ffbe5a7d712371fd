CREATE OR REPLACE FUNCTION centralcloud.usage_key(parts text[]) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(substring(sha256(convert_to(array_to_string(parts, chr(31), chr(30)), 'UTF8')) FOR 16), 'hex')::uuid
$$;
COMMENT ON FUNCTION centralcloud.usage_key IS 'an id derived from texts: the same for the same texts';
