"""From a request to a model. Pure and synchronous: no database, no network."""
