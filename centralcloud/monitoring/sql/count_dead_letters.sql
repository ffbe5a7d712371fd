-- The number of open dead letters. Counted in the whole table.
SELECT count(*) FROM public.dead_letters WHERE resolution IS NULL;
