-- Which of these experiments have not published their score table yet. Served by idx_experiment_verdicts_experiment.
SELECT wanted.id
FROM unnest(%(ids)s::text[]) AS wanted (id)
WHERE NOT EXISTS (
    SELECT FROM public.experiment_verdicts AS verdict
    WHERE verdict.experiment_id = wanted.id AND verdict.verdict = 'published'
);
