-- Settles what was spent, returns what is not needed, and takes leases; the answer as JSON.
SELECT centralcloud.exchange_spend(%(instance)s, %(process)s, %(number)s, %(report)s);
