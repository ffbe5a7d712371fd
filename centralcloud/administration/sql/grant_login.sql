-- {role}: speaks for one instance. It is listed before it gets any right.
{create_login};
INSERT INTO public.instance_logins (role_name, instance_id) VALUES ({name}, {instance_id}) ON CONFLICT DO NOTHING;
GRANT {group} TO {role};
-- No longer {instance_role}: a member of a role can set its password, and log in as it.
{leave_roles};
