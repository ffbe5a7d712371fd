-- Whether learning is frozen. One row, by the primary key.
SELECT frozen_at, frozen_reason FROM public.learning_control;
