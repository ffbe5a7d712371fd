-- Identifies the history of this database: see the function.
SELECT centralcloud.epoch();
