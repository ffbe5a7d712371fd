-- Forgets dead letters that were replayed or discarded long ago; the accounts keep their number. Open ones stay for ever.
-- Served by the partial index idx_dead_letters_resolved_at.
DELETE FROM dead_letters WHERE resolution IS NOT NULL AND resolved_at < now() - %(retention)s::interval;
