-- Stores the evidence about a treatment. Served by the primary key.
INSERT INTO public.experiment_comparisons (experiment_id, treatment, state)
VALUES (%(experiment_id)s, %(treatment)s, %(state)s)
ON CONFLICT (experiment_id, treatment) DO UPDATE SET state = excluded.state, updated_at = now();
