-- Seconds since 1970 by the server's clock, not that of the start of the transaction.
SELECT extract(epoch FROM clock_timestamp())::float8
