"""A webhook: JSON by POST to one address, with a signature by which the receiver knows the sender.

The signature is that of https://www.standardwebhooks.com: ``webhook-id``, ``webhook-timestamp`` (Unix seconds) and
``webhook-signature``, ``v1,`` and the base64 form of HMAC-SHA256 over ``ID.TIMESTAMP.BODY``.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_PREFIX: Final = "whsec_"
#: Longest wait for a connection, and for an answer.
_TIMEOUT_SECONDS: Final = 10.0
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def signature_of(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``.

    Args:
        secret: ``whsec_`` and base64, whose bytes are the key; any other text is the key itself.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key_of(secret: str) -> bytes:
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret[len(_PREFIX) :], validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def check_address(url: str) -> str | None:
    """Return why a webhook cannot have this address; None: it can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "expected an address with https://"
    if parts.username is not None:
        return "expected an address without a user and a password: the signature says who sends"
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        return "expected https://; http:// is for this machine only"
    return None


def deliver(url: str, secret: str | None, message_id: str, content: Mapping[str, Any]) -> str | None:
    """Send a message; returns why it was not accepted, None if it was. Follows no redirect.

    Args:
        message_id: the same for each attempt, so that a receiver can leave out what it has had.
    """
    parts = urlsplit(url)
    body = json.dumps(content, ensure_ascii=False).encode()
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "centralcloud",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
    }
    if secret is not None:
        headers["webhook-signature"] = signature_of(secret, message_id, now, body)
    assert parts.hostname is not None
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if 200 <= status < 300 else f"status {status}, expected 200 to 299"
