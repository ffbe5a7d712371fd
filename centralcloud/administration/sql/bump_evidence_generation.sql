-- Old evidence has changed, or which of it is excluded: a learner reads all of it again.
UPDATE public.learning_control SET revision = revision + 1, evidence_generation = evidence_generation + 1;
