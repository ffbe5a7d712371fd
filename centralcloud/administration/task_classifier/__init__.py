"""The trained classifier: read labelled prompts, train on them, store versions, and choose the one that gateways use.

The text of a prompt stays in the process that trains: it is neither stored nor sent.
"""
