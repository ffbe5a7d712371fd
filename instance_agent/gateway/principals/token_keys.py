"""The keys that sign tokens: a JWKS (RFC 7517) in a file or at an https address, read again before and after a rotation.

The set in use is replaced as a whole. While its source cannot be read, the last one stays in use for a bounded time.
Needs the extra ``jwt``: import it only where the settings name a JWKS.
"""

import http.client
import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from centralcloud.contracts import SettingsError
from centralcloud.runtime.bounded_file import fingerprint_of, read_bounded
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

#: The only algorithms of signatures that are accepted: each needs a private key of the issuer, so that no public text signs.
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
_SETTING: Final = "INSTANCE_AGENT_GATEWAY_JWT_JWKS"
_FILE_SECONDS: Final = 5.0
_URL_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 10.0
#: Shortest time between two reads because of an unknown key: clients choose the ids of keys in their tokens.
_REFRESH_SECONDS: Final = 10.0
#: Limit of one read of an address, its connection included.
_TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 1_000_000
_MAX_KEYS: Final = 200
#: NIST SP 800-131A: no signature by a shorter RSA key.
_MIN_RSA_BITS: Final = 2048
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")

#: By key id; a key without an id has the id "".
Keys = Mapping[str, jwt.PyJWK]
_NO_KEYS: Final[Keys] = {}


class TokenKeys(BackgroundTask):
    """Reads the JWKS: a file when it has changed, an address every 5 minutes, and at once after `refresh`.

    Attributes:
        problem: why the newest set could not be read; None: it could.
        reads: how many reads have ended, with success or not.
    """

    def __init__(self, database: Database, source: str, *, grace_seconds: float, ca_file: Path | None = None) -> None:
        """Read the keys for the first time.

        Args:
            source: path of a file, or an https address; http for this machine only.
            grace_seconds: how long the last set is used while its source cannot be read.
            ca_file: more certificates for the address, PEM.

        Raises:
            SettingsError: the source is neither, or a file that cannot be used. An address that does not answer is tried
                again, and no token is accepted until it does.
        """
        address = _address_of(source)
        super().__init__(
            "token keys", database, interval_seconds=_FILE_SECONDS if address is None else _URL_SECONDS, connections=0
        )
        self.uses_database = False
        self.longest_run_seconds = 3 * _TIMEOUT_SECONDS
        self.problem: str | None = None
        self.reads = 0
        self._path = Path(source) if address is None else None
        self._address = address
        self._grace_seconds = grace_seconds
        self._ca_file = ca_file
        self._keys: Keys = _NO_KEYS
        self._read_at: float | None = None
        self._tried_at = 0.0
        self._reading = False
        self._seen: object = None
        self.run_once()
        if self._path is not None and self.problem is not None:
            raise SettingsError(f"{_SETTING}: {self.problem}")

    def current(self) -> Keys:
        """Return the keys that count now: none once the last set is too old."""
        read_at = self._read_at
        if read_at is None:
            return _NO_KEYS
        # A read that does not end has no problem yet: its address sends a byte now and then.
        due = 0.0 if self.problem is not None else _URL_SECONDS + self.longest_run_seconds
        return _NO_KEYS if time.monotonic() - read_at > self._grace_seconds + due else self._keys

    def read_again(self) -> None:
        """Read the keys now, changed or not."""
        self._seen = None
        self.wake()

    def refresh(self) -> bool:
        """Read the keys at once, because of a key that is not known; False: that was done a moment ago."""
        if self._reading:
            return True
        if time.monotonic() - self._tried_at < _REFRESH_SECONDS:
            return False
        self._tried_at = time.monotonic()
        self.read_again()
        return True

    def run_once(self) -> bool:
        if self._path is not None:
            seen = fingerprint_of(self._path)
            if seen is not None and seen == self._seen:
                self._read_at = time.monotonic()
                return False
            self._seen = seen
        self._tried_at = time.monotonic()
        self._reading = True
        try:
            keys = read_keys(self._content())
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._failed(f"cannot read the keys of tokens from {self._path or self._address}: {_reason(error)}")
        else:
            self._succeeded(keys)
        self._reading = False
        self.reads += 1
        return False

    def _succeeded(self, keys: Keys) -> None:
        # An unchanged set stays the same object, by which verified tokens are remembered.
        if _texts(keys) != _texts(self._keys):
            self._keys = keys
            log.info("token_keys_loaded", keys=len(keys))
        elif self.problem is not None:
            log.info("token_keys_loaded", keys=len(keys))
        self._read_at = time.monotonic()
        self.problem = None
        if self._address is not None:
            self.interval_seconds = _URL_SECONDS

    def _failed(self, problem: str) -> None:
        is_start = self._path is not None and not self.reads  # the error of the start says it
        if problem != self.problem and not is_start:
            effect = (
                f"the last keys are used for at most {self._grace_seconds:g} s"
                if self._keys
                else "no token is accepted until they can be read"
            )
            log.error("token_keys_unreadable", reason=problem, effect=effect)
        self.problem = problem
        if self._address is not None:
            self.interval_seconds = _RETRY_SECONDS

    def _content(self) -> bytes:
        if self._path is not None:
            return read_bounded(self._path, _MAX_BYTES)
        assert self._address is not None
        return _fetch(self._address, self._ca_file)


def read_keys(content: bytes) -> Keys:
    """Read a JWKS; keys that no allowed algorithm can use are left out.

    Raises:
        ValueError: it is not one, or has no key that can be used.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("found other content, expected a JWKS (JSON with a list of keys)") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise ValueError('found no list "keys", expected a JWKS')
    if len(entries) > _MAX_KEYS:
        raise ValueError(f"found {len(entries):,} keys, expected at most {_MAX_KEYS}")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries:
        key = _usable(entry)
        if key is not None:
            keys.setdefault(key.key_id or "", key)
    if not keys:
        raise ValueError(f"found no key for signatures by {', '.join(ALGORITHMS)}, expected at least one")
    return keys


def _usable(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid", ""), str):
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if key.algorithm_name not in ALGORITHMS:
        return None
    if key.algorithm_name == "RS256" and key.key.key_size < _MIN_RSA_BITS:
        return None
    if key.algorithm_name == "ES256" and key.key.curve.name != "secp256r1":
        return None
    return key


def _texts(keys: Keys) -> dict[str, Any]:
    return {name: key._jwk_data for name, key in keys.items()}  # noqa: SLF001 - it has no other name for its JSON


def _address_of(source: str) -> str | None:
    """Return the address of a JWKS; None for a file."""
    if "://" not in source:
        return None
    try:
        parts = urlsplit(source)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{_SETTING}: {error}, expected an address with https://, or a file") from None
    if parts.scheme == "https" and parts.hostname and parts.username is None:
        return source
    if parts.scheme == "http" and parts.hostname in _LOCAL and parts.username is None:
        return source
    raise SettingsError(
        f"{_SETTING}: found another address, expected a file, or an address with https:// and without a user; http:// is "
        "for this machine only"
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        """Follow no redirect: the keys decide who may call."""


def _fetch(address: str, ca_file: Path | None) -> bytes:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)
    until = time.monotonic() + _TIMEOUT_SECONDS
    # The scheme is https, or http on this machine: see `_address_of`.
    with opener.open(address, timeout=_TIMEOUT_SECONDS) as answer:  # nosec B310
        return _read(answer.read1, until)


def _read(read: Callable[[int], bytes], until: float) -> bytes:
    """Read an answer of bounded size in bounded time: a slow sender is not waited for."""
    content = bytearray()
    while piece := read(65_536):
        content += piece
        if len(content) > _MAX_BYTES:
            raise OSError(f"found more than {_MAX_BYTES:,} bytes, expected a JWKS")
        if time.monotonic() > until:
            raise OSError(f"it took longer than {_TIMEOUT_SECONDS:g} s")
    return bytes(content)


def _reason(error: Exception) -> str:
    found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(found.split())[:200] or type(error).__name__
