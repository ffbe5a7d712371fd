-- Deletes what instances that are gone have seen of the versions of models. Served by the brin index on seen_at.
DELETE FROM public.model_versions WHERE seen_at < %(as_of)s - %(retention)s::interval;
