"""Background tasks, their supervisor, shutdown, and the service manager."""
