-- Stores what is known now about a metric. Served by the primary key.
INSERT INTO public.experiment_results (experiment_id, treatment, metric, facts)
VALUES (%(experiment_id)s, %(treatment)s, %(metric)s, %(facts)s)
ON CONFLICT (experiment_id, treatment, metric) DO UPDATE SET facts = excluded.facts, updated_at = now();
