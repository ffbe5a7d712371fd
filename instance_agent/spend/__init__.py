"""Budgets and rate limits: leases, reservations and refusals; the arithmetic apart from the database."""
