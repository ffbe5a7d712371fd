"""Passwords and their hashes. Pure, apart from the salt."""

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata
from typing import Final, NamedTuple

#: NIST SP 800-63B-4, 3.1.1.2: a password that is the only factor has 15 characters or more.
SHORTEST: Final = 15
#: Longer ones are not hashed: each block of text costs time.
LONGEST: Final = 1024
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
#: Most bytes that one hash of a file may need, so that a line of it cannot take the memory of the server.
_MOST_BYTES: Final = 256 * 2**20
#: Most work of one hash, as n*r*p: about 5 seconds.
_MOST_WORK: Final = 2**24


class Cost(NamedTuple):
    """The cost of a hash of scrypt (RFC 7914): 128*n*r bytes of memory, and time that grows with n*r*p."""

    n: int
    r: int
    p: int

    @property
    def bytes_needed(self) -> int:
        """Memory that one hash takes."""
        return 128 * self.r * (self.n + self.p)


#: OWASP Password Storage Cheat Sheet, "scrypt": N=2^15, r=8, p=3, which need 32 MiB; 0.2 seconds.
DEFAULT_COST: Final = Cost(2**15, 8, 3)


class PasswordHash(NamedTuple):
    """A salted hash of a password. Its text is ``scrypt$n$r$p$salt$hash``, the last two in base64."""

    cost: Cost
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        parts = (*map(str, self.cost), *(base64.b64encode(part).decode() for part in (self.salt, self.digest)))
        return f"scrypt${'$'.join(parts)}"

    def matches(self, password: str) -> bool:
        """Whether it is the hash of this password. Takes as long as `hash_password`, whatever the answer."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.cost, len(self.digest)), self.digest)


def hash_password(password: str, cost: Cost = DEFAULT_COST) -> PasswordHash:
    """Return a hash with a new salt. Takes 0.2 seconds and 32 MiB with the default cost."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(cost, salt, _scrypt(password, salt, cost, _HASH_BYTES))


def unknown_hash(cost: Cost = DEFAULT_COST) -> PasswordHash:
    """Return a hash that no password has, to compare with for an unknown user: in the time of a known one."""
    return PasswordHash(cost, secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_HASH_BYTES))


def parse_hash(text: str) -> PasswordHash:
    """Read the text of a hash.

    Raises:
        ValueError: it is not one, or costs more than a server can spend; says what was expected, and not the text.
    """
    name, *parts = text.split("$")
    if name != "scrypt" or len(parts) != 5:
        raise ValueError("expected a hash like scrypt$n$r$p$salt$hash")
    if not all(number.isascii() and number.isdigit() and len(number) <= 9 for number in parts[:3]):
        raise ValueError("expected whole numbers as n, r and p of the hash")
    cost = Cost(*map(int, parts[:3]))
    if cost.n < 2 or cost.n & (cost.n - 1) or cost.r < 1 or cost.p < 1:
        raise ValueError("expected a power of 2 as n of the hash, and r and p of at least 1")
    if cost.bytes_needed > _MOST_BYTES or cost.n * cost.r * cost.p > _MOST_WORK:
        raise ValueError(f"expected a hash of at most {_MOST_BYTES // 2**20} MiB and n*r*p = {_MOST_WORK}")
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
    except (binascii.Error, ValueError):
        raise ValueError("expected base64 as salt and hash") from None
    if len(salt) < _SALT_BYTES or len(digest) != _HASH_BYTES:
        raise ValueError(f"expected a salt of at least {_SALT_BYTES} bytes and a hash of {_HASH_BYTES}")
    return PasswordHash(cost, salt, digest)


def _scrypt(password: str, salt: bytes, cost: Cost, length: int) -> bytes:
    # One text can be typed as different characters: NIST SP 800-63B-4 has NFKC for this. "replace": half a character.
    normal = unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
    most = cost.bytes_needed + 2**20  # OpenSSL counts some bytes more
    return hashlib.scrypt(normal, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=most, dklen=length)
