"""The dashboard: web pages of what the fleet does and why, for people on call and for the weekly review."""
