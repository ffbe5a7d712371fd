"""The dashboard: web pages over the state of the fleet."""
