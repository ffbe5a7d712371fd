"""The execution of plans: attempts at targets, time limits, circuit breakers, fallback, and one outcome for each attempt."""
