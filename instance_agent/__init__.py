"""The instance side: catalog, router, publisher of decisions, and updater of scores. A sidecar, or a library."""
