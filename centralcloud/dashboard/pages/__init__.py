"""The pages: the rows that each one needs, and pure functions that turn them into what its template shows."""
