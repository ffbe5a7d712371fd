"""Connections, transactions, queries and errors of PostgreSQL; the embedded server."""
