"""Keys of the gateway: create, rotate and revoke them. A key is part of the configuration; its text is stored nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    ApiKey,
    Change,
    RateLimit,
    Role,
    find_key,
    hash_key,
    key_prefix,
    new_key_text,
    put,
    remove,
)
from centralcloud.runtime.configuration.writing import Author, Current, change_configuration
from centralcloud.runtime.postgres.database import Database

#: How long both keys are valid after a rotation.
DEFAULT_OVERLAP: Final = timedelta(days=7)


class UnusableKeyError(CentralCloudError):
    """The key does not exist, or it cannot be used for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """The result of creating a key.

    Attributes:
        key: the new key, or the one that was there.
        text: the text of the new key, to be shown once; None when none was created.
    """

    key: ApiKey
    text: str | None


def create_key(
    database: Database,
    author: Author,
    *,
    role: Role,
    label: str,
    workspace: str | None = None,
    valid_for: timedelta | None = None,
    rate_limit: RateLimit | None = None,
    text: str | None = None,
    only_if_none: bool = False,
) -> CreatedKey:
    """Create a key.

    Args:
        valid_for: how long it is valid; None: until it is revoked.
        rate_limit: of its requests; None: none.
        text: of the key, from `new_key_text`; None: a new one. One that is registered already is not created again.
        only_if_none: create none where a valid key has this role.

    Raises:
        UnusableKeyError: `text` is the text of a key that has expired or was revoked.
        ContractError: the label or the workspace is invalid.
        ConfigurationRightError: this login may not change the configuration.
    """
    text = text or new_key_text()
    now = datetime.now(UTC)
    created = ApiKey(
        id=key_prefix(text) or "",
        hash=hash_key(text),
        role=role,
        label=label,
        created_at=now,
        workspace=workspace,
        expires_at=None if valid_for is None else now + valid_for,
        rate_limit=rate_limit,
    )
    found: list[ApiKey] = []

    def decide(current: Current) -> Sequence[Change]:
        keys = current.configuration.keys
        if (registered := keys.get(created.id)) is not None:
            if find_key(keys, text, now) is None:
                raise UnusableKeyError(f"the key {created.id} is revoked, expired or another one: expected a new key")
            found.append(registered)
            return []
        valid = (key for key in keys.values() if key.role == role and key.is_valid(now))
        if only_if_none and (there := next(valid, None)) is not None:
            found.append(there)
            return []
        return [put(created)]

    change_configuration(database, author, decide)
    if not found:
        return CreatedKey(key=created, text=text)
    return CreatedKey(key=found[0], text=text if found[0].id == created.id else None)


def rotate_key(
    database: Database, author: Author, key_id: str, *, overlap: timedelta = DEFAULT_OVERLAP, text: str | None = None
) -> CreatedKey:
    """Create a key with the role, label and workspace of another one, which stays valid for `overlap`.

    The new key is valid for as long as the old one was made to be.

    Raises:
        UnusableKeyError: the key does not exist, has expired, was revoked, or was rotated before.
        ConfigurationRightError: this login may not change the configuration.
    """
    text = text or new_key_text()
    now = datetime.now(UTC)
    made: list[ApiKey] = []

    def decide(current: Current) -> Sequence[Change]:
        old = _find(current, key_id)
        if not old.is_valid(now):
            raise UnusableKeyError(
                f"the key {old.id} is {state_of(old, now)}: expected a valid one; `keys create` makes a new one"
            )
        if old.replaced_by is not None:
            raise UnusableKeyError(f"the key {old.id} was rotated to {old.replaced_by}: expected the newest one")
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        new = ApiKey(
            id=key_prefix(text) or "",
            hash=hash_key(text),
            role=old.role,
            label=old.label,
            created_at=now,
            workspace=old.workspace,
            expires_at=None if lifetime is None else now + lifetime,
            rate_limit=old.rate_limit,
        )
        made.append(new)
        ends = now + overlap
        expires = ends if old.expires_at is None else min(old.expires_at, ends)
        if expires <= old.created_at:
            expires = old.created_at + timedelta(microseconds=1)
        return [put(new), put(msgspec.structs.replace(old, expires_at=expires, replaced_by=new.id))]

    change_configuration(database, author, decide)
    return CreatedKey(key=made[0], text=text)


def revoke_key(database: Database, author: Author, key_id: str) -> ApiKey:
    """Revoke a key; every gateway refuses it within seconds. Return the key as it was before.

    Raises:
        UnusableKeyError: the key does not exist, or was revoked before.
        ConfigurationRightError: this login may not change the configuration.
    """
    before: list[ApiKey] = []

    def decide(current: Current) -> Sequence[Change]:
        key = _find(current, key_id)
        if key.revoked_at is not None:
            raise UnusableKeyError(
                f"the key {key.id} was revoked at {key.revoked_at:%Y-%m-%d %H:%M} UTC: nothing was changed"
            )
        before.append(key)
        return [put(msgspec.structs.replace(key, revoked_at=datetime.now(UTC)))]

    change_configuration(database, author, decide)
    return before[0]


def remove_keys(database: Database, author: Author, key_ids: Sequence[str]) -> list[ApiKey]:
    """Remove keys that are not valid any more, all of them or none; the history of the configuration keeps them.

    Raises:
        UnusableKeyError: a key does not exist or is valid, or no key would be left: without any key, a gateway lets every
            client of its own machine do everything.
        ConfigurationRightError: this login may not change the configuration.
    """
    removed: list[ApiKey] = []
    now = datetime.now(UTC)

    def decide(current: Current) -> Sequence[Change]:
        found = {key.id: key for key in (_find(current, key_id) for key_id in key_ids)}
        for key in found.values():
            if key.is_valid(now):
                raise UnusableKeyError(f"the key {key.id} is valid: expected one that is revoked or expired")
        if len(found) == len(current.configuration.keys):
            raise UnusableKeyError(
                "found no other key, expected one that is left: without any key, a gateway lets every client of its own "
                "machine do everything"
            )
        removed[:] = found.values()
        return [remove("key", key_id) for key_id in found]

    change_configuration(database, author, decide)
    return removed


def state_of(key: ApiKey, now: datetime) -> str:
    """Return the state of a key in one word: valid, rotated (both keys are valid), expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    if not key.is_valid(now):
        return "expired"
    return "valid" if key.replaced_by is None else "rotated"


def _find(current: Current, key_id: str) -> ApiKey:
    """Find a key by its id, or by its whole text, which no message repeats."""
    prefix = key_prefix(key_id) or key_id
    if (key := current.configuration.keys.get(prefix)) is None:
        known = "`instance-agent keys list` shows them"
        raise UnusableKeyError(
            f"found no key {quote(prefix)}, expected the id of a key, such as cck_0123456789ab; {known}"
        )
    return key
