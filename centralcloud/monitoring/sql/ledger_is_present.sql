-- Whether the tables that have one row have it.
SELECT EXISTS (SELECT FROM public.accounting) AND EXISTS (SELECT FROM public.learning_control) AS ledger_is_present;
