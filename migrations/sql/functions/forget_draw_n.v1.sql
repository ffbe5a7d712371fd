CREATE OR REPLACE FUNCTION centralcloud.forget_draw_n() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
-- Workers up to revision 0025 do not write draw_n: a new n_eff with the former draw_n is theirs. Routers draw from n_eff then.
BEGIN
    NEW.draw_n := NULL;
    RETURN NEW;
END
$$;
