-- What a run of the learner has to find unchanged when it publishes, and what an operator has said. One row.
SELECT revision, evidence_generation, frozen_at, frozen_reason FROM learning_control;
