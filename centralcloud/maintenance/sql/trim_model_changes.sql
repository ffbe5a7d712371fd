-- Deletes old changes of models: rules look at those of 30 days. Served by idx_model_changes_created_at.
DELETE FROM public.model_changes WHERE created_at < %(as_of)s - greatest(%(retention)s::interval, interval '31 days');
