"""Partitions, roll-ups, merging of evidence and retention."""
