-- The reason why a dead letter was not sent again. No row: there is none with that id. Served by the primary key.
SELECT CASE
    WHEN resolution IS NOT NULL THEN 'already ' || resolution
    WHEN message IS NULL THEN 'it has no message that could be sent again'
    ELSE 'an --edit names a field inside something that does not exist or is not an object'
END
FROM public.dead_letters WHERE id = %(id)s;
