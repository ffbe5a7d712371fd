"""Ingest: moves routing events from the queue into records and metrics, each event exactly once."""
