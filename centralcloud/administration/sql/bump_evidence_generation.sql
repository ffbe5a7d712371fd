-- Old evidence, or what is left out of it, has changed: a learner reads all of it again.
UPDATE learning_control SET revision = revision + 1, evidence_generation = evidence_generation + 1;
