"""The ids of principals that have no key, for events, logs and budgets."""

import hashlib


def principal_id(kind: str, *parts: str) -> str:
    """Return a short id: the kind, and 16 hexadecimal digits of a hash of what identifies the principal."""
    text = "\0".join(parts).encode("utf-8", "replace")
    return f"{kind}:{hashlib.sha256(text).hexdigest()[:16]}"
