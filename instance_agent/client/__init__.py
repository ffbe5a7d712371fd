"""Calls of models inside a Python process: routed by local_first, executed and counted here, without a gateway."""
