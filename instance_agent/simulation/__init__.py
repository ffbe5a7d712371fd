"""Simulated providers: a service on this machine that answers like providers of models, for trials without a key."""
