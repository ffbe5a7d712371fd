-- The operator who changed each setting last. Reads the whole log: for a command.
SELECT DISTINCT ON (subject) subject, who FROM public.operator_actions WHERE action = %(action)s ORDER BY subject, id DESC;
