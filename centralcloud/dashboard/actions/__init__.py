"""Operators' actions: each has a page that says what it changes, and changes it when its form is sent."""
