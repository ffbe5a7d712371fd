"""Principals of requests that may have a token or a certificate in place of a key."""

from typing import TYPE_CHECKING, Final

from aiohttp import web

from instance_agent.gateway.auth import Principal
from instance_agent.gateway.principals.certificates import ClientCertificates

if TYPE_CHECKING:
    from instance_agent.gateway.principals.tokens import Tokens

#: A client that has to send some key sends this word for its certificate.
_WORD: Final = "certificate"


class OutsidePrincipals:
    """Finds the principals that identity providers and certificate authorities vouch for.

    A request with a key or a token counts as theirs, and as nothing else; its certificate counts where it has neither.
    """

    def __init__(self, tokens: "Tokens | None", certificates: ClientCertificates | None) -> None:
        """Create it; None: there are no such principals."""
        self._tokens = tokens
        self._certificates = certificates

    async def prepare(self, request: web.Request) -> None:
        """Wait for newer keys of tokens, where the request's token needs them."""
        if self._tokens is not None and (token := _token_of(request)) and not self._tokens.knows(token):
            await self._tokens.prepare(token)

    def principal_of(self, request: web.Request) -> Principal | None:
        """Return the principal of a request; None: it has no valid token and no known certificate."""
        if self._tokens is not None and (token := _token_of(request)):
            return self._tokens.principal_of(token)
        if self._certificates is None or not _leaves_it_to_the_certificate(request):
            return None
        transport = request.transport
        return self._certificates.principal_of(transport.get_extra_info("peercert") if transport else None)


def _token_of(request: web.Request) -> str:
    """Return a bearer with two dots; an API key has none."""
    header = request.headers.get("authorization", "")
    if header.count(".") != 2:
        return ""
    scheme, _, bearer = header.partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""


def _leaves_it_to_the_certificate(request: web.Request) -> bool:
    own = request.headers.get("x-api-key", "").strip()
    scheme, _, bearer = request.headers.get("authorization", "").strip().partition(" ")
    if scheme and scheme.lower() != "bearer":
        return False
    return own in ("", _WORD) and bearer.strip() in ("", _WORD)
