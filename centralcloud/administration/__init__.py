"""Commands of an operator that change something: each in one transaction."""
