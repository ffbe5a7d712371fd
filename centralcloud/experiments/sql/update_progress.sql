-- Stores how far an experiment is folded. Served by the primary key.
UPDATE public.experiment_progress
SET folded_until = %(folded_until)s, prompted_id = %(prompted_id)s, step = %(step)s, retries = %(retries)s,
    late_dropped = %(late_dropped)s, state = %(state)s, repeated_until = %(repeated_until)s, repeated_id = %(repeated_id)s,
    updated_at = now()
WHERE experiment_id = %(experiment_id)s;
