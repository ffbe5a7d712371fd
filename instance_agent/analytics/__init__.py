"""Use, cost and performance from roll-ups, and recommendations that are computed from them."""
