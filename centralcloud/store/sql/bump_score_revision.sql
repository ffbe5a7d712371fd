-- Something about scores was written: a run of the learner that has read before reads again.
UPDATE learning_control SET revision = revision + 1;
