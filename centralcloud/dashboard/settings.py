"""The settings of the dashboard, and what they must be for it to start."""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.http.addresses import is_loopback
from centralcloud.runtime.http.certificate import load_certificate
from centralcloud.runtime.settings import DatabaseSettings, DatabaseUrl, read_database_url

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX: Final = "CENTRALCLOUD_DASHBOARD_"
DEFAULT_PORT: Final = 8480
#: The serialization of an origin in the WHATWG URL standard, of the schemes that this server has.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}
#: The name of a header: a token of RFC 9110.
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


def _networks(text: str) -> str:
    for name in split_names(text):
        try:
            ipaddress.ip_network(name)
        except ValueError:
            raise ValueError(
                "expected addresses or networks such as 10.0.0.5, 10.1.0.0/16 or fd00::/8, separated by commas; "
                f"found {quote(name)}"
            ) from None
    return text


def _origin(text: str) -> str:
    """Check an origin as a browser sends it: otherwise it would never match, and without a word."""
    if text and (not _ORIGIN.fullmatch(text) or text.endswith(_DEFAULT_PORTS[text.partition(":")[0]])):
        raise ValueError(
            "expected the begin of the addresses that browsers use, such as https://centralcloud.example, in lower case, "
            "without a path, a slash at the end and a default port"
        )
    return text


def _header(text: str) -> str:
    if text and not _HEADER.fullmatch(text):
        raise ValueError("expected the name of a header, such as X-Forwarded-User")
    return text


def split_names(text: str) -> tuple[str, ...]:
    """Return the items of a list that is separated by commas, without the spaces around them."""
    return tuple(name for each in text.split(",") if (name := each.strip()))


class DashboardSettings(DatabaseSettings):
    """The settings of `centralcloud dashboard`; docs/reference/settings.md lists the variables.

    A field is the variable CENTRALCLOUD_DASHBOARD_<NAME>.

    Attributes:
        database_url: CENTRALCLOUD_DASHBOARD_DATABASE_URL, else CENTRALCLOUD_DATABASE_URL, else DATABASE_URL.
        database_url_file: the same names with _FILE, a file that contains only the URL.
        operator_database_url: CENTRALCLOUD_OPERATOR_DATABASE_URL, the database with the role of operators; None: no actions.
        operator_database_url_file: CENTRALCLOUD_OPERATOR_DATABASE_URL_FILE, a file that contains only that URL.
        address, port: to listen on; the port 0 takes a free one.
        tls_certificate, tls_key: PEM files; None: HTTP.
        public_url: origin of the pages as browsers see it, where a proxy or a name stands before them; empty: none.
        users_file: names, roles and hashes of passwords, see `security.users_file`; None: no login with a password.
        trusted_proxies: addresses and networks of proxies whose headers count, separated by commas.
        proxy_user_header: the header with the name of the user, that these proxies always set; empty: none.
        operators: users of the proxy that may act, separated by commas; the others may read.
        read_needs_login: whether reading needs a login; None: see `login_to_read`.
        public_without_login: whether other machines may read without a login.
        session_seconds: how long a login lasts.
        session_idle_seconds: how long a login lasts without a request.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX)

    database_url: DatabaseUrl | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{_PREFIX}DATABASE_URL", "CENTRALCLOUD_DATABASE_URL", "DATABASE_URL"),
    )
    database_url_file: Path | None = Field(
        default=None,
        validation_alias=AliasChoices(
            f"{_PREFIX}DATABASE_URL_FILE", "CENTRALCLOUD_DATABASE_URL_FILE", "DATABASE_URL_FILE"
        ),
    )
    operator_database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_OPERATOR_DATABASE_URL")
    )
    operator_database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_OPERATOR_DATABASE_URL_FILE")
    )
    address: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65_535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    public_url: Annotated[str, AfterValidator(_origin)] = ""
    users_file: Path | None = None
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = ""
    proxy_user_header: Annotated[str, AfterValidator(_header)] = ""
    operators: str = ""
    read_needs_login: bool | None = None
    public_without_login: bool = False
    session_seconds: float = Field(default=28_800.0, ge=60, le=604_800)
    session_idle_seconds: float = Field(default=1_800.0, ge=60, le=604_800)

    @property
    def operator_database(self) -> str | None:
        """The database URL of operators' actions as plain text; None: there are no actions.

        Raises:
            SettingsError: the file that holds it cannot be used.
        """
        return read_database_url(
            self.operator_database_url, self.operator_database_url_file, "CENTRALCLOUD_OPERATOR_DATABASE_URL"
        )

    def load_tls(self) -> ssl.SSLContext | None:
        """Return the context of HTTPS; None: HTTP.

        Raises:
            CentralCloudError: the certificate or its key cannot be used.
        """
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return load_certificate(self.tls_certificate, self.tls_key)

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """The networks of the trusted proxies."""
        return tuple(ipaddress.ip_network(name) for name in split_names(self.trusted_proxies))

    @property
    def operator_names(self) -> frozenset[str]:
        """The users of the proxy that may act."""
        return frozenset(split_names(self.operators))

    @property
    def has_login(self) -> bool:
        """Whether viewers can have a name: by a password, or by the proxy."""
        return self.users_file is not None or bool(self.proxy_user_header)

    @property
    def login_to_read(self) -> bool:
        """Whether reading needs a login: as set, else wherever others than users of this machine may come from."""
        if self.read_needs_login is not None:
            return self.read_needs_login
        return not self.public_without_login and not self._only_for_this_machine

    @property
    def _only_for_this_machine(self) -> bool:
        return is_loopback(self.address) and not self.trusted_proxies and not self.public_url

    def check_start(self) -> None:
        """Check that these settings let in only the viewers that they are meant for.

        Raises:
            SettingsError: they do not, or contradict each other.
        """
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError(f"{_PREFIX}TLS_CERTIFICATE and {_PREFIX}TLS_KEY: found one, expected both or none")
        self._check_proxy()
        self._check_reading()
        self._check_passwords()
        if self.operator_database is not None and self.users_file is None and not self.operator_names:
            raise SettingsError(
                "CENTRALCLOUD_OPERATOR_DATABASE_URL is set, but no user may act: expected a file of users "
                f"({_PREFIX}USERS_FILE), or users of a proxy ({_PREFIX}OPERATORS)"
            )

    def _check_proxy(self) -> None:
        if self.proxy_user_header and not self.trusted_proxies:
            raise SettingsError(
                f"{_PREFIX}PROXY_USER_HEADER is {self.proxy_user_header!r}, but no proxy is trusted: expected its address "
                f"in {_PREFIX}TRUSTED_PROXIES"
            )
        if self.operator_names and not self.proxy_user_header:
            raise SettingsError(
                f"{_PREFIX}OPERATORS is {self.operators!r}, but no proxy names users: expected {_PREFIX}PROXY_USER_HEADER, "
                "or the roles in the file of users"
            )

    def _check_reading(self) -> None:
        if self.login_to_read and not self.has_login:
            where = f"the address {self.address}" if not is_loopback(self.address) else "pages for other machines"
            if self.read_needs_login:
                where = f"{_PREFIX}READ_NEEDS_LOGIN=true"
            raise SettingsError(
                f"found {where}, but no login: set {_PREFIX}USERS_FILE, or {_PREFIX}TRUSTED_PROXIES with "
                f"{_PREFIX}PROXY_USER_HEADER, or {_PREFIX}PUBLIC_WITHOUT_LOGIN=true to let everyone read who can connect"
            )
        if not self.login_to_read and not self.public_without_login and not self._only_for_this_machine:
            raise SettingsError(
                f"{_PREFIX}READ_NEEDS_LOGIN is false for pages that other machines can reach: set "
                f"{_PREFIX}PUBLIC_WITHOUT_LOGIN=true, too, to let everyone read who can connect"
            )

    def _check_passwords(self) -> None:
        """Refuse passwords over plain HTTP: each machine between could read them, and browsers drop the cookie."""
        encrypted = self.tls_certificate is not None or self.public_url.startswith("https:") or self.trusted_proxies
        if self.users_file is not None and not is_loopback(self.address) and not encrypted:
            raise SettingsError(
                f"found passwords over plain HTTP on the address {self.address}: set {_PREFIX}TLS_CERTIFICATE and "
                f"{_PREFIX}TLS_KEY, or {_PREFIX}PUBLIC_URL=https://... behind a proxy that has a certificate"
            )
