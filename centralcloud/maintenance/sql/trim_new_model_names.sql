-- Deletes counts of new model names that no limit and no finding looks at any more. Served by idx_new_model_names_hour.
DELETE FROM public.new_model_names WHERE hour < %(as_of)s - interval '2 days';
