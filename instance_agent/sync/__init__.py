"""Exchange with PostgreSQL, in background threads."""
