-- Every sequence and the greatest number of its table. Index lookups and small tables; `count_queue` reads the whole queue.
SELECT sequence_name, table_name, last_value, newest FROM centralcloud.sequence_positions(%(count_queue)s);
