"""Helpers of the tests. Nothing here replaces code of the product."""
