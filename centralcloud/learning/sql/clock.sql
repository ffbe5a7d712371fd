-- The server's time now. Within a transaction it goes on, unlike now().
SELECT clock_timestamp() AS now;
