"""Evidence in, scores out: rules are pure functions, the learner runs them and publishes their scores."""
