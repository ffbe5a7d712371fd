-- Gives the feedback on some models the name of another one. Served by idx_feedback_model.
UPDATE public.feedback SET model_name = %(new)s WHERE model_name = ANY (%(old)s);
