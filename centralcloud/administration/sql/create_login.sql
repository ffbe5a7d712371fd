BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
        CREATE ROLE {role} LOGIN;
        COMMENT ON ROLE {role} IS {mark};
    END IF;
END
