"""Shared by both programs: PostgreSQL, background tasks, the HTTP server, settings, logs and the command line."""
