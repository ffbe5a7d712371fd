"""Tokens (JWT, RFC 7519) as principals: verified by the keys of their issuer, with a role and a workspace in their claims.

A token that is refused gets the words of a wrong key; the log has the reason. Needs the extra ``jwt``.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jwt
from msgspec import Struct

from centralcloud.contracts.fleet_configuration import ROLES, Role
from centralcloud.contracts.limits import MAX_LABEL_LENGTH
from centralcloud.contracts.text import read_name
from centralcloud.runtime.logs import get_logger
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.principals.ids import principal_id
from instance_agent.gateway.principals.token_keys import ALGORITHMS, TokenKeys

log = get_logger(__name__)

#: As an API key never is: three parts of base64url with dots between them.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MAX_CHARACTERS: Final = 8000
#: Between the clocks of the issuer and of this machine.
_LEEWAY_SECONDS: Final = 30
#: How long a verified token is not verified again: 200 to 350 microseconds each time.
_KNOWN_SECONDS: Final = 60.0
_MOST_KNOWN: Final = 1000
#: How long requests wait for a read of the keys.
_REFRESH_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.01
_CLAIMS: Final = ["exp", "iss", "aud", "sub"]
_LOG_SECONDS: Final = 10.0
#: Workspace of a token that belongs to none.
_NO_WORKSPACE: Final = "*"


class RefusedTokenError(Exception):
    """A token is not valid. Its text is for the log."""


class TokenSettings(Struct, frozen=True, kw_only=True):
    """The tokens that are accepted.

    Attributes:
        issuer, audience: their claims ``iss`` and ``aud``.
        algorithms: of their signatures, each of `ALGORITHMS`.
        role_claim: name of the claim with the role, or a list with roles, of which the one with the most rights counts.
        workspace_claim: name of the claim with the workspace, which each token then needs, ``*`` for none; None: tokens have
            no workspace.
    """

    issuer: str
    audience: str
    algorithms: Sequence[str] = ALGORITHMS
    role_claim: str = "role"
    workspace_claim: str | None = None


class Tokens:
    """Verifies tokens, and remembers those that are valid. For the event loop."""

    def __init__(self, keys: TokenKeys, settings: TokenSettings, clock: Callable[[], float] = time.time) -> None:
        """Create it; `clock`: in seconds since 1970."""
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._used = keys.current()
        #: The principal of a token, and until when it is not verified again.
        self._known: dict[str, tuple[Principal, float]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refused = 0
        self._logged_at = 0.0

    def principal_of(self, token: str) -> Principal | None:
        """Return the principal of a token; None for one that is not valid."""
        found = self._remembered(token)
        if found is not None:
            return found
        try:
            if not is_token(token):
                raise RefusedTokenError("it is malformed, or too long")
            principal, until = self._verified(token)
        except RefusedTokenError as error:
            self._log(str(error))
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[token] = principal, min(until, self._clock() + _KNOWN_SECONDS)
        return principal

    def knows(self, token: str) -> bool:
        """Whether a token was verified a moment ago."""
        return self._remembered(token) is not None

    async def prepare(self, token: str) -> None:
        """Read the keys once more for a token of a key that is not known; many requests wait for the same read."""
        if not is_token(token):
            return
        try:
            header = _header_of(token)
        except RefusedTokenError:
            return
        if header.get("alg") not in self._settings.algorithms or _key_id(header) in self._keys.current():
            return
        if self._refreshing is None and self._keys.refresh():
            self._refreshing = asyncio.create_task(self._refresh())
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        try:
            before, loop = self._keys.reads, asyncio.get_running_loop()
            until = loop.time() + _REFRESH_SECONDS
            while self._keys.reads == before and loop.time() < until:
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._refreshing = None

    def _remembered(self, token: str) -> Principal | None:
        keys = self._keys.current()
        if keys is not self._used:
            self._used = keys
            self._known.clear()
        found = self._known.get(token)
        return found[0] if found is not None and self._clock() < found[1] else None

    def _verified(self, token: str) -> tuple[Principal, float]:
        """Return the principal of a valid token, and when the token ends."""
        settings = self._settings
        header = _header_of(token)
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise RefusedTokenError(f"found another algorithm, expected one of {', '.join(settings.algorithms)}")
        keys = self._keys.current()
        if not keys:
            raise RefusedTokenError("the keys of the issuer are not known")
        key = keys.get(_key_id(header))
        if key is None and "kid" not in header and len(keys) == 1:
            key = next(iter(keys.values()))
        if key is None:
            raise RefusedTokenError("the id of the key is not that of a key of the issuer")
        if key.algorithm_name != algorithm:
            raise RefusedTokenError(f"the algorithm is not that of the key, {key.algorithm_name}")
        now = self._clock()
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=settings.audience,
                issuer=settings.issuer,
                # Times are checked here, by one clock.
                options={"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise RefusedTokenError(f"{type(error).__name__}: {str(error)[:200]}") from None
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise RefusedTokenError(f"a claim is malformed: {type(error).__name__}") from None
        end = _time(claims, "exp")
        if end is None or now >= end + _LEEWAY_SECONDS:
            raise RefusedTokenError("it has expired")
        begin = _time(claims, "nbf")
        if begin is not None and now < begin - _LEEWAY_SECONDS:
            raise RefusedTokenError("it is not valid yet")
        return self._principal(claims), end + _LEEWAY_SECONDS

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        settings, subject = self._settings, claims["sub"]
        if not subject:
            raise RefusedTokenError("claim sub: found an empty text, expected the subject")
        role = _role(claim_of(claims, settings.role_claim))
        if role is None:
            raise RefusedTokenError(f"claim {settings.role_claim}: found no role, expected one of {', '.join(ROLES)}")
        workspace = None
        if settings.workspace_claim is not None:
            workspace = claim_of(claims, settings.workspace_claim)
            if not isinstance(workspace, str) or read_name(workspace, MAX_LABEL_LENGTH) != workspace:
                raise RefusedTokenError(f"claim {settings.workspace_claim}: found no workspace, expected a name, or *")
        return Principal(
            key_id=principal_id("jwt", settings.issuer, subject),
            role=role,
            workspace=None if workspace == _NO_WORKSPACE else workspace,
            user_id=read_name(subject, MAX_LABEL_LENGTH),
        )

    def _log(self, reason: str) -> None:
        """Log the reason of a refusal, at most one in ten seconds: anyone can send any text."""
        self._refused += 1
        now = time.monotonic()
        if self._logged_at and now - self._logged_at < _LOG_SECONDS:
            return
        self._logged_at = now
        log.warning("token_refused", reason=reason, count=self._refused)
        self._refused = 0


def is_token(text: str) -> bool:
    """Whether a text has the form of a token."""
    return len(text) <= _MAX_CHARACTERS and _TOKEN.fullmatch(text) is not None


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim; where none has the name, it is a path with dots, such as ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _header_of(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise RefusedTokenError("it is malformed") from None


def _key_id(header: Mapping[str, Any]) -> str:
    found = header.get("kid", "")
    return found if isinstance(found, str) else ""


def _role(value: Any) -> Role | None:
    """Return the role with the most rights."""
    found = [value] if isinstance(value, str) else value
    return next((role for role in ROLES if role in found), None) if isinstance(found, list) else None


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        raise RefusedTokenError(f"claim {name}: found another value, expected a time")
    return float(value)
