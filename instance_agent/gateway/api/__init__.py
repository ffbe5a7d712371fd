"""The JSON API under /api: routing, models, configuration, analytics, decisions."""
