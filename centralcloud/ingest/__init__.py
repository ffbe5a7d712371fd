"""From the queue into records, metrics and evidence: each event once."""
