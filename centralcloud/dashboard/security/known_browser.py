"""Browsers in which a user has logged in before: wrong tries of others do not keep them out.

Without this mark, an attacker who tries wrong passwords under the name of an operator, behind the same proxy, would use up
the tries of the operator, too. A marked browser has tries of its own (OWASP: device cookies). The mark does not log in:
the password is needed as well. It is signed with the hash of the password, so that it needs no memory, outlives a restart,
and ends when the password is changed.
"""

import hashlib
import hmac
import secrets
from typing import Final

from centralcloud.dashboard.security.users_file import User

#: How long a browser keeps its mark after the last login, in seconds: 90 days.
KEPT_SECONDS: Final = 90 * 86_400
_LONGEST: Final = 200


def new_mark(user: User) -> str:
    """Return a mark for a browser in which a user has just logged in."""
    browser = secrets.token_urlsafe(16)
    return f"{browser}.{_signature(user, browser)}"


def known_browser(mark: str, user: User | None) -> str | None:
    """Return the id of the browser, if the mark is one of this user with this password."""
    browser, _, signature = mark.partition(".")
    if user is None or not browser or len(mark) > _LONGEST or not mark.isascii():
        return None
    return browser if hmac.compare_digest(signature, _signature(user, browser)) else None


def _signature(user: User, browser: str) -> str:
    text = f"known browser\n{browser}\n{user.name}"
    return hmac.new(str(user.password).encode(), text.encode(), hashlib.sha256).hexdigest()
