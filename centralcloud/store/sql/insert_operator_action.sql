-- session_user is the role that has logged in: unlike the user's name, the client cannot make it up.
INSERT INTO operator_actions (who, via, source, action, subject, reason, before, after, version)
VALUES (
    %(who)s || ' as ' || session_user, %(via)s, %(source)s, %(action)s, %(subject)s, %(reason)s, %(before)s, %(after)s,
    %(version)s
);
