-- Old evidence was changed: whoever has read it reads it again.
UPDATE learning_control SET evidence_generation = evidence_generation + 1, revision = revision + 1;
