-- Deletes feedback on requests of which no record has arrived within a day. Served by idx_waiting_feedback_reported_at.
DELETE FROM public.waiting_feedback WHERE reported_at < %(as_of)s - interval '1 day';
