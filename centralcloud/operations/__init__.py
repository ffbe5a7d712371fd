"""Keeping the database in shape while the daemon runs."""
