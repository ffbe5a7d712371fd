"""Maintenance: partitions, roll-ups, merging of evidence, and retention."""
