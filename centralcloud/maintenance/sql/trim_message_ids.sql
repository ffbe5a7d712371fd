-- Deletes blocks of ids, from the oldest on, as long as every id of the block has left the queue or is known to be missing, and
-- those that are older than 10,000 others or unchanged for 30 days: ids that are missing in these are not found any more by range.
-- One row for 10,000 messages.
WITH position AS (
    SELECT ids_tracked_after, (ids_tracked_after + 1) / 10000 AS first_block FROM public.accounting
), oldest AS (
    SELECT block, block - row_number() OVER (ORDER BY block) + 1 AS island
    FROM public.message_ids CROSS JOIN position
    WHERE block >= first_block
      AND handled + missing @> int8range(greatest(block * 10000, ids_tracked_after + 1), block * 10000 + 10000)
), done AS (
    SELECT greatest(
        (SELECT max(block) FROM oldest WHERE island = first_block),
        (SELECT max(block) FROM public.message_ids WHERE last_at < %(as_of)s - interval '30 days'),
        (SELECT max(block) - 10000 FROM public.message_ids)
    ) AS block
    FROM position
), moved AS (
    UPDATE public.accounting SET ids_tracked_after = done.block * 10000 + 9999
    FROM done WHERE done.block * 10000 + 9999 > ids_tracked_after
)
DELETE FROM public.message_ids USING done WHERE message_ids.block <= done.block;
