"""Experiments on live traffic: who gets which arm, what the outcomes say at any time, and what follows from it."""
