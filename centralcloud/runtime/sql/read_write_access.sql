SELECT pg_is_in_recovery() AS in_recovery, setting = 'on' AS read_only, source
FROM pg_settings
WHERE name = 'default_transaction_read_only'
