-- A trigger adds the id, the time and the database role, which the client cannot make up.
INSERT INTO public.operator_actions (who, via, source, action, subject, reason, before, after, version)
VALUES (
    %(who)s, %(via)s, %(source)s, %(action)s, %(subject)s, %(reason)s, %(before)s, %(after)s, %(version)s
);
