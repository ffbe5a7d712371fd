"""The one reader of the database for all viewers: sources in tiers, the snapshot of their newest values, and lookups."""
