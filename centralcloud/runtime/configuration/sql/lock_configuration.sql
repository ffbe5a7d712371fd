-- Waits for other writers; returns the version of the configuration.
SELECT centralcloud.lock_configuration();
