-- Through when the sums of use have the records.
SELECT centralcloud.usage_until();
