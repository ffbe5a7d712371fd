"""Headers of every answer that tell browsers what its pages may do. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Scripts, styles and connections of this server alone; no frames, no plugins, no forms elsewhere.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        # Not no-referrer: browsers would send "Origin: null" with forms, which then cannot be told from foreign ones.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
)


def security_headers(*, cached: bool = False) -> dict[str, str]:
    """Return the headers of an answer.

    Args:
        cached: whether browsers may keep it: a file that is the same for everyone. Pages are not kept, so that they are not
            shown after a logout.
    """
    return dict(_HEADERS) if cached else {**_HEADERS, "Cache-Control": "no-store"}
