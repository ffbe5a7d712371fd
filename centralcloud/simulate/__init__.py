"""Simulation of a learning rule on recorded outcomes: the real rule and the real router, without a database.

An outcome table holds the outcome of every model for every task, so the result under any rule is known exactly.
"""
