-- Deletes counts of new model names that no limit and no finding looks at any more. Served by idx_new_model_names_hour.
DELETE FROM new_model_names WHERE hour < now() - interval '2 days';
