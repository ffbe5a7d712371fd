-- Says that scores have changed: a run of the learner that has read them before reads them again. One row.
UPDATE public.learning_control SET revision = revision + 1;
