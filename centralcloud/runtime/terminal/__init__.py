"""Output on the terminal: tables, JSON documents, the results of checks, questions."""
