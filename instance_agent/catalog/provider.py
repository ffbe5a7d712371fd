"""A provider of the catalog: how to reach it, and where its key is kept."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, refusal_of_host
from instance_agent.catalog.addresses import with_port
from instance_agent.catalog.model import Name, TimeLimits, Url

_REFERENCE: Final = re.compile(r"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f]+)")
_HOST: Final = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+")
#: An IPv6 address has brackets where a port follows.
_WITH_PORT: Final = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\]):([0-9]{1,5})")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
#: Set by the transport, or by the dialect from the key.
_RESERVED_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class _Hidden(str):
    """A text that may be a key: its repr hides it, so that no error and no log line shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(hidden)'"


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("expected env:NAME or file:/PATH, never the key itself")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise ValueError("expected the name of an HTTP header that the connection does not set itself")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise ValueError(f"expected header {name} without control characters")
    return {name: _Hidden(value) for name, value in headers.items()}


def _key_host(text: str) -> str:
    lowered = text.lower()
    match = _WITH_PORT.fullmatch(lowered)
    host, port = (match[1], int(match[2])) if match else (lowered, None)
    host = host.strip("[]").rstrip(".")
    if not _HOST.fullmatch(host) or not (port is None or 1 <= port <= 65_535):
        raise ValueError(
            "expected the name or address of a host, also with a port (a.example:8443), without http:// and path"
        )
    if (refusal := refusal_of_host(host, PRIVATE_ALLOWED)) is not None:
        raise ValueError(f"expected another host: this one is {refusal.removeprefix('which is ')}")
    return host if port is None else with_port(host, port)


#: A host without scheme and path, in lower case; without a port it stands for all ports.
KeyHost = Annotated[str, AfterValidator(_key_host)]
#: A place where a key is kept: ``env:NAME`` or ``file:/PATH``.
KeyReference = Annotated[str, AfterValidator(_reference)]


class Provider(BaseModel):
    """One entry of ``providers:`` of the catalog YAML.

    Attributes:
        provider: its name, as in `Model.provider`.
        dialect: its protocol: ``openai``, ``anthropic``, ``gemini``, or one that a package has installed.
        base_url: http or https; operations such as /chat/completions are added by the dialect.
        api_key: a reference to its key; None: it needs none.
        headers: additional headers; a value may be a reference as well.
        key_hosts: hosts, or hosts with a port, beside that of `base_url` where registered endpoints may be: they are sent
            the key and the headers.
        local: whether it is available only while it has been found to answer (LM Studio, Ollama).
        time_limits: of calls to its models, unless the model has its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Name
    dialect: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] = "openai"
    base_url: Url
    api_key: KeyReference | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = {}
    key_hosts: tuple[KeyHost, ...] = ()
    local: bool = False
    time_limits: TimeLimits = TimeLimits()

    def __repr_args__(self) -> Any:
        """Hide the values of headers."""
        for name, value in super().__repr_args__():
            yield name, (sorted(self.headers) if name == "headers" else value)


def is_reference(value: str) -> bool:
    """Whether a header's value names the place of a key instead of being the value."""
    return _REFERENCE.fullmatch(value) is not None
