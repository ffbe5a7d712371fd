BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) AND EXISTS (SELECT FROM public.instance_logins) THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {name});
        {rights}
    END IF;
END
