"""The choice of a model for a request. Pure and synchronous: no database, no network."""
