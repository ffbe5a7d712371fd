"""The choice of a model by scores, as probabilities: what routers do with them, and what an evaluation assumes. Pure."""
