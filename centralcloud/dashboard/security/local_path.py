"""Addresses to go to after a login: of this server alone. Pure."""

import re
from typing import Final
from urllib.parse import quote, unquote

_LONGEST: Final = 2048
#: Pages that a login must not lead to.
_OF_THE_LOGIN: Final = re.compile(r"/(login|logout)(/|\?|$)")
_UNSAFE: Final = re.compile(r"[^\x21-\x7e]|\\")


def local_path(text: str) -> str:
    """Return a path with its query that is on this server for every browser; ``/`` for any other text.

    Browsers take ``//host``, ``/\\host`` and a tab between two slashes for the begin of another server's address.
    """
    if not text.startswith("/") or text.startswith("//") or len(text) > _LONGEST or _UNSAFE.search(text):
        return "/"
    return "/" if _OF_THE_LOGIN.match(unquote(text)) else text


def login_path(path: str) -> str:
    """Return the address of the login that leads to `path` afterwards."""
    target = local_path(path)
    return "/login" if target == "/" else f"/login?next={quote(target, safe='/')}"
