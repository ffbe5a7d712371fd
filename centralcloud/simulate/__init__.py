"""Trying a learning rule on recorded outcomes: the real rule and the router's real choice, no database.

An outcome table says how every model did at every task, so what would have happened under any rule is known exactly.
"""
