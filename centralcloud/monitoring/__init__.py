"""Read-only views for an operator: doctor, status, findings, metrics of the tables."""
