-- Whether a role exists, or an instance is still listed with its name. One row.
SELECT
    EXISTS (SELECT FROM pg_roles WHERE rolname = %(login)s)
    OR EXISTS (SELECT FROM public.instance_logins WHERE role_name = %(login)s AND instance_id = %(instance_id)s);
