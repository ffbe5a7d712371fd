"""Changes that operators make: each in one transaction, together with its row in the log of operators' actions."""
