"""The demonstration: the real daemon and real instances, over simulated models."""
