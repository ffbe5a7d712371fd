"""An upstream: one service that runs models, with its key and its limits."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

#: Headers whose values are secrets, wherever an operator sets them.
_SECRET_HEADER: Final = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Limits(Struct, frozen=True, kw_only=True):
    """Time limits of the phases of a call, in seconds, and the bound of its answer.

    Attributes:
        connect: until the connection stands, name resolution and TLS included.
        first_byte: from then on until the first byte of the answer's body, of a stream until its first bytes. Thinking
            models need minutes.
        idle: between two pieces of the answer.
        total: of the whole call; None: no limit, for long streams.
        max_answer_bytes: of an answer after decompression; of a stream all pieces together.
    """

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 60.0
    total: float | None = 900.0
    max_answer_bytes: int = 64 * 1024 * 1024


class Secret:
    """A text that neither repr nor str shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for a header of a call and nothing else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret(***)"


class Upstream(Struct, frozen=True, kw_only=True):
    """One service that runs models.

    Attributes:
        provider: its name in the catalog and in errors.
        dialect: name of the dialect that it speaks, such as ``openai``.
        base_url: without the path of an operation, such as ``https://api.openai.com/v1``.
        api_key: never in repr, logs or errors; empty for a service without keys.
        headers: more headers for each call.
        key_header: header that takes the key as it is, such as Azure's ``api-key``; None: as the dialect sends it.
        max_tokens_field: the field of OpenAI-compatible services for the limit of the answer in translated requests.
    """

    provider: str
    dialect: str
    base_url: str
    api_key: Secret = Secret("")
    headers: Mapping[str, str] = _NO_HEADERS
    limits: Limits = Limits()
    key_header: str | None = None
    max_tokens_field: str = "max_tokens"

    def url(self, path: str) -> str:
        """Return the address of the operation `path` (with its leading slash); a query of the base URL stays."""
        base, mark, query = self.base_url.partition("?")
        return f"{base.rstrip('/')}{path}{mark}{query}"

    def secrets(self) -> tuple[str, ...]:
        """Return every secret of this upstream: the key, and those in headers and in the base URL."""
        parts = urlsplit(self.base_url)
        found = [self.api_key.reveal(), parts.password or "", parts.query]
        for name, value in self.headers.items():
            if _SECRET_HEADER.search(name):
                found += [value, value.partition(" ")[2]]
        return tuple(text for text in found if text)

    def __repr__(self) -> str:
        host = urlsplit(self.base_url).hostname
        return f"Upstream(provider={self.provider!r}, dialect={self.dialect!r}, host={host!r})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # the inherited one shows headers
        return [("provider", self.provider), ("dialect", self.dialect)]
