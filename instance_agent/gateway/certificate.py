"""The certificate of the gateway: read at the start, and again when its files change. Open connections keep the old one."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of
from centralcloud.runtime.http.certificate import load_certificate
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.gateway.principals.certificates import ClientCertificates

log = get_logger(__name__)

#: Time between two looks at the files, two stats each. An edit counts when the next look finds it unchanged: a renewal
#: replaces the certificate and the key one after the other.
_INTERVAL_SECONDS: Final = 5.0

_State = tuple[Fingerprint | None, ...]


class CertificateReloader(BackgroundTask):
    """Loads the certificate again when it was renewed, and at once after `read_again`.

    Attributes:
        context: for new connections.
        clients: certificates of clients, read again with that of the gateway; None: they need none.
        problem: why the newest files are not used; None: they are.
        on_loaded: called with each new context, in the thread of this task.
    """

    def __init__(
        self, database: Database, certificate: Path, key: Path, clients: ClientCertificates | None = None
    ) -> None:
        """Load the certificate; raise CentralCloudError when it cannot be used. `clients`: None: they need none."""
        super().__init__("certificate", database, interval_seconds=_INTERVAL_SECONDS, connections=0)
        self.uses_database = False
        self._certificate = certificate
        self._key = key
        self.clients = clients
        self._used = self._seen = self._state()
        self._forced = False
        self.context = self._load()
        self.problem: str | None = None
        self.on_loaded: Callable[[ssl.SSLContext], object] | None = None

    def read_again(self) -> None:
        """Load the certificate now, changed or not."""
        self._forced = True
        self.wake()

    def run_once(self) -> bool:
        forced, self._forced = self._forced, False
        now = self._state()
        settled, self._seen = now == self._seen, now
        if forced or (settled and now != self._used):
            self._used = now
            self._reload()
        return False

    def _reload(self) -> None:
        try:
            principals = self.clients.read() if self.clients is not None else {}
            context = self._load()
        except CentralCloudError as error:
            self.problem = str(error)
            log.error("certificate_refused", reason=self.problem, effect="the last valid one stays in use")
            return
        self.problem = None
        self.context = context
        if self.clients is not None:
            self.clients.principals = principals
        if self.on_loaded is not None:
            self.on_loaded(context)
        log.info("certificate_loaded", path=str(self._certificate))

    def _state(self) -> _State:
        clients = self.clients.state() if self.clients is not None else ()
        return fingerprint_of(self._certificate), fingerprint_of(self._key), *clients

    def _load(self) -> ssl.SSLContext:
        context = load_certificate(self._certificate, self._key)
        if self.clients is not None:
            self.clients.add_to(context)
        return context


def make_reloader(
    database: Database, certificate: Path | None, key: Path | None, clients: ClientCertificates | None = None
) -> CertificateReloader | None:
    """Return the certificate of the settings, None without one.

    Raises:
        SettingsError: only one of the two is set.
        CentralCloudError: they cannot be used.
    """
    if certificate is None and key is None:
        if clients is not None:
            raise SettingsError(
                "INSTANCE_AGENT_GATEWAY_CLIENT_CA_FILE: found no certificate of the gateway, expected "
                "INSTANCE_AGENT_GATEWAY_TLS_CERTIFICATE and INSTANCE_AGENT_GATEWAY_TLS_KEY, too"
            )
        return None
    if certificate is None or key is None:
        raise SettingsError(
            "INSTANCE_AGENT_GATEWAY_TLS_CERTIFICATE and INSTANCE_AGENT_GATEWAY_TLS_KEY: found one, expected both or none"
        )
    return CertificateReloader(database, certificate, key, clients)


def check_ca_file(path: Path | None) -> None:
    """Raise SettingsError for a file of certificates of upstreams that cannot be used."""
    if path is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        # OpenSSL names its own functions and lines.
        reason = "it has no certificate" if isinstance(error, ssl.SSLError) else (error.strerror or str(error))
        raise SettingsError(
            f"INSTANCE_AGENT_GATEWAY_CA_FILE is {str(path)!r}: {reason}, expected a PEM file with certificates"
        ) from None
