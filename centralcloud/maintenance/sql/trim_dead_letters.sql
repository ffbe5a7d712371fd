-- Deletes dead letters that were replayed or discarded long ago; the message ledger keeps their number. Open ones are kept.
-- Served by the partial index idx_dead_letters_resolved_at.
DELETE FROM public.dead_letters WHERE resolution IS NOT NULL AND resolved_at < %(as_of)s - %(retention)s::interval;
