-- Served by idx_model_changes_model.
UPDATE public.model_changes SET model_name = %(new)s WHERE model_name = %(old)s;
