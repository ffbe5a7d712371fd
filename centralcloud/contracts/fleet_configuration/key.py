"""Keys of the gateway's programming interface: random, stored as a hash, found by a public prefix."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from centralcloud.contracts.errors import ContractError
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    check_name,
    check_size,
    convert,
    plain,
)
from centralcloud.contracts.limits import MAX_RATE_REQUESTS, MAX_RATE_WINDOW_MS, MIN_RATE_WINDOW_MS

Role = Literal["admin", "operator", "user", "viewer"]
ROLES: Final[tuple[Role, ...]] = ("admin", "operator", "user", "viewer")

_PREFIX_BYTES: Final = 6
#: 256 bits, so that the hash of a key cannot be searched.
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(r"(cck_[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
#: Compared with the hash of a key whose prefix is unknown: it takes as long as a known one.
_NO_HASH: Final = "0" * 64

Prefix = Annotated[str, msgspec.Meta(pattern=r"^cck_[0-9a-f]{12}\Z")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
#: With a zone.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class RateLimit(Entry, frozen=True):
    """A limit of the requests with a key, over all replicas together.

    Attributes:
        requests: in a window.
        window_ms: length of a window in milliseconds, 1 second to 31 days.
        tokens: of prompts and answers in a window; None: no limit.
    """

    requests: Annotated[int, msgspec.Meta(ge=1, le=MAX_RATE_REQUESTS)]
    window_ms: Annotated[int, msgspec.Meta(ge=MIN_RATE_WINDOW_MS, le=MAX_RATE_WINDOW_MS)]
    tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] | None = None


class ApiKey(Entry, frozen=True):
    """A key, without its secret part.

    Attributes:
        id: the public prefix of the key, by which it is found and named: ``cck_`` and 12 hexadecimal digits.
        hash: SHA-256 of the whole key, in hexadecimal digits.
        role: its rights.
        label: text for people: whose key it is, or for what.
        created_at: when it was made.
        workspace: the tenant that requests with it belong to; None: none.
        expires_at: when it ceases to be valid; None: never.
        revoked_at: when it was revoked; None: it was not.
        replaced_by: the id of the key that a rotation made in its place; None: none.
        rate_limit: None: none.
    """

    id: Prefix
    hash: Hash
    role: Role
    label: Label
    created_at: Moment
    workspace: Label | None = None
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
    replaced_by: Prefix | None = None
    rate_limit: RateLimit | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether requests with the key are accepted at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_key_text() -> str:
    """Return a new random key: ``cck_``, the public part, and 256 random bits. It is shown once and stored nowhere."""
    return f"cck_{secrets.token_hex(_PREFIX_BYTES)}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def key_prefix(text: str) -> str | None:
    """Return the public prefix of a key; None for a text that cannot be a key."""
    match = _TEXT.fullmatch(text)
    return None if match is None else match[1]


def hash_key(text: str) -> str:
    """Return the hash by which a key is stored.

    One round of SHA-256: a slow hash makes the guesses at a password expensive, and there is nothing to guess in 256 random
    bits. It would cost milliseconds in every request, and let a client without a key keep the gateway busy.
    """
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def find_key(keys: Mapping[str, ApiKey], text: str, now: datetime) -> ApiKey | None:
    """Return the valid key that a request has; None for an unknown, revoked or expired one, without saying which.

    The time that it takes does not depend on how much of the key is right.

    Args:
        keys: by prefix.
    """
    prefix = key_prefix(text)
    key = None if prefix is None else keys.get(prefix)
    matches = hmac.compare_digest(hash_key(text), _NO_HASH if key is None else key.hash)
    return key if key is not None and matches and key.is_valid(now) else None


def parse_key(value: Any, field: str = "key") -> ApiKey:
    """Parse the stored form of a key.

    Raises:
        ContractError: a field is invalid, unknown or missing.
    """
    if isinstance(value, dict):
        value = plain(value, "label", "workspace")
    key = convert(value, ApiKey, field)
    check_name(key.label, f"{field}.label", MAX_LABEL_LENGTH)
    if key.workspace is not None:
        check_name(key.workspace, f"{field}.workspace", MAX_LABEL_LENGTH)
    if key.expires_at is not None and key.expires_at <= key.created_at:
        raise ContractError(f"{field}.expiresAt", key.expires_at.isoformat(), "a time after createdAt")
    check_size(key, field)
    return key
