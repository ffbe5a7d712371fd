-- Actions of operators, newest first. A filter that is null takes all; `until_id` begins a page. Served by the primary key,
-- backwards. Large values are cut: lists of scores, entries and ids go first, then the rest.
SELECT
    id, at, who, via, source, action, subject, reason,
    CASE
        WHEN octet_length(before::text) <= 16384 THEN before::text
        WHEN octet_length((before - %(long)s::text[])::text) <= 16384 THEN (before - %(long)s::text[])::text
    END AS before,
    CASE
        WHEN octet_length(after::text) <= 16384 THEN after::text
        WHEN octet_length((after - %(long)s::text[])::text) <= 16384 THEN (after - %(long)s::text[])::text
    END AS after,
    coalesce(octet_length(before::text), 0) > 16384 OR coalesce(octet_length(after::text), 0) > 16384 AS is_cut,
    version
FROM public.operator_actions
WHERE (%(who)s::text IS NULL OR position(lower(%(who)s) IN lower(who)) > 0)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(subject)s::text IS NULL OR position(lower(%(subject)s) IN lower(subject)) > 0)
  AND at >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND id <= coalesce(%(until_id)s, 9223372036854775807)
ORDER BY id DESC
LIMIT %(most)s;
