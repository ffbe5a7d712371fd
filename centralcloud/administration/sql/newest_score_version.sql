-- The newest version of all published scores; 0 without one. One row a pair, by the index on the version where there is one.
SELECT coalesce(max(version), 0)::bigint FROM public.model_scores;
