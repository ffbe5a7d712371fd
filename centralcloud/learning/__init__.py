"""Evidence in, scores out: rules are pure functions, the learner runs them, the publication writes what they decide."""
