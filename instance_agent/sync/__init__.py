"""Communication with PostgreSQL, in background threads."""
