-- Stores a verdict. One that is kept once is not stored a second time: served by idx_experiment_verdicts_experiment.
INSERT INTO public.experiment_verdicts (experiment_id, treatment, at, verdict, facts)
SELECT %(experiment_id)s, %(treatment)s, %(at)s, %(verdict)s, %(facts)s
WHERE NOT %(once)s OR NOT EXISTS (
    SELECT FROM public.experiment_verdicts AS earlier
    WHERE earlier.experiment_id = %(experiment_id)s AND earlier.treatment IS NOT DISTINCT FROM %(treatment)s
        AND earlier.verdict = %(verdict)s
);
