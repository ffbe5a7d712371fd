-- Acquires or renews leases; one row for each that is held.
SELECT centralcloud.claim_target_leases(%(holder)s, %(names)s, %(seconds)s);
