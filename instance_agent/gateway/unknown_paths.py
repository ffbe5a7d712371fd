"""The 404 of a path that is not there: most are of a client whose base_url has one /v1 too few or too many."""

import re
from collections.abc import Iterable
from typing import Final

from centralcloud.contracts.errors import quote
from instance_agent.gateway.errors import GatewayError

#: Clients of OpenAI add the path of an operation to a base_url that ends with /v1; those of Anthropic add /v1 themselves.
_REPEATED: Final = re.compile(r"(?:/+v1){2,}(/.*)?")
_OF_OPENAI: Final = ("/chat/", "/embeddings", "/responses", "/completions")
_MOST_PATHS: Final = 30


def unknown_path(path: str, known: Iterable[str]) -> GatewayError:
    """Return the error for a path; it says how to set base_url where that would help, else it names the paths.

    Args:
        path: as the client sent it, without its query.
        known: the paths of this gateway, with names in braces.
    """
    known = sorted(known)
    found, trimmed = f"not found: {quote(path)}", path.rstrip("/")
    repeated = _REPEATED.fullmatch(trimmed)
    if repeated is not None:
        once = (
            "must end with /v1 once"
            if (repeated[1] or "").startswith(_OF_OPENAI)
            else "must not end with /v1: it adds /v1 itself"
        )
        return _error(f"{found}, expected /v1 once: base_url of this client {once}")
    if _is_known(f"/v1{trimmed}", known):
        return _error(f"{found}, expected it below /v1: base_url of this client must end with /v1")
    prefix = "/v1" if path.startswith("/v1") else "/"
    paths = [each for each in known if each.startswith(prefix)][:_MOST_PATHS]
    return _error(f"{found}; the paths here are {', '.join(paths)}")


def _is_known(path: str, known: Iterable[str]) -> bool:
    return any(re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", re.escape(each)), path) is not None for each in known)


def _error(message: str) -> GatewayError:
    return GatewayError(message, status=404, code="not_found")
