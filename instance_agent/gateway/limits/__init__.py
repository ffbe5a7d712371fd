"""Limits of requests: budgets, rate limits, and the limits of policies."""
