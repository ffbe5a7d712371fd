    DECLARE
        joined text;
    BEGIN
        FOR joined IN
            SELECT role.rolname FROM pg_auth_members m
            JOIN pg_roles role ON role.oid = m.roleid
            JOIN pg_roles member ON member.oid = m.member
            WHERE member.rolname = {name} AND role.rolname IN ({roles})
        LOOP
            EXECUTE format('REVOKE %I FROM %I', joined, {name});
        END LOOP;
    END
