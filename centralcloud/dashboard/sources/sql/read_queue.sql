-- The queue in numbers. Reads at most 100,000 messages, by the primary key.
SELECT * FROM centralcloud.queue_summary();
