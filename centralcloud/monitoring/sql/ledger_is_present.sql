-- Whether the tables that have one row have it.
SELECT EXISTS (SELECT FROM accounting) AND EXISTS (SELECT FROM learning_control) AS ledger_is_present;
