-- {role}: speaks for one instance. Listed before it may do anything.
{create_login};
INSERT INTO public.instance_logins (role_name, instance_id) VALUES ({name}, {instance_id}) ON CONFLICT DO NOTHING;
GRANT {group} TO {role};
-- Not {instance_role}, as it was once: who may become a role may set its password, and log in as it.
{leave_roles};
