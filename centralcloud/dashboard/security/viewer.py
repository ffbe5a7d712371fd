"""The person in front of a page: a name, and what it may do. Pure."""

import re
import unicodedata
from typing import Final, Literal, NamedTuple, get_args

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
_LONGEST_NAME: Final = 128
#: Names in the file of users: no separators of its lines, of lists and of headers.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
NAME_EXPECTED: Final = "1 to 64 letters, digits, dots, hyphens, underscores, + and @, the first one a letter or a digit"


class Viewer(NamedTuple):
    """The sender of a request.

    Attributes:
        name: of the user; None: not logged in, where reading needs no login.
        role: ``viewer`` reads, ``operator`` also acts.
        session: whether the name comes from a login here, which can be ended here; otherwise from a proxy.
    """

    name: str | None
    role: Role
    session: bool = False

    @property
    def may_act(self) -> bool:
        """Whether the role allows actions; whether the dashboard has any is a setting."""
        return self.name is not None and self.role == "operator"


#: A viewer without a name, where reading needs no login.
ANONYMOUS: Final = Viewer(None, "viewer")


def is_user_name(text: str) -> bool:
    """Whether a text can be a name in the file of users."""
    return _NAME.fullmatch(text) is not None


def is_outside_name(text: str) -> bool:
    """Whether a proxy's name of a user can be shown and stored: 1 to 128 characters, none of them steering or a space."""
    return 0 < len(text) <= _LONGEST_NAME and not any(unicodedata.category(character)[0] in "CZ" for character in text)
