-- Deletes old feedback. Served by idx_feedback_created_at.
DELETE FROM public.feedback WHERE created_at < %(as_of)s - %(retention)s::interval;
