"""Read-only views of the system for operators: doctor, status, findings, and metrics of the tables."""
