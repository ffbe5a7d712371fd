-- {role}: speaks for one instance. Listed before it may do anything, since a login that is not listed speaks for any.
{create_login};
INSERT INTO public.instance_logins (role_name, instance_id) VALUES ({name}, {instance_id}) ON CONFLICT DO NOTHING;
GRANT {instance_role} TO {role};
