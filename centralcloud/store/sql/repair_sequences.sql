-- Raises the sequences that are behind their tables; returns them as they were.
SELECT sequence_name, table_name, last_value, newest FROM centralcloud.repair_sequences();
