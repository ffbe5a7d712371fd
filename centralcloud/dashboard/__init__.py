"""The dashboard: the pages of the fleet in a browser."""
