"""The report of a time, for the weekly review: read once, then written as text, HTML or JSON."""
