"""Simulation of experiments: many canaries, or comparisons of several arms, side by side, by the statistics of real ones.

Sessions are drawn with the delays, losses and outages of a scenario, and folded when those of a fleet would be.
"""
