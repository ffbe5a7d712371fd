"""The certificate of a dashboard that serves HTTPS itself."""

import ssl
from pathlib import Path

from centralcloud.contracts import SettingsError


def read_certificate(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the context of HTTPS; None without a certificate.

    Raises:
        SettingsError: a file cannot be read, or does not hold what it should.
    """
    if certificate is None or key is None:
        return None
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}: expected a PEM file") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        reason = error.reason or "no certificate and key"
        raise SettingsError(f"{certificate}, {key}: {reason}: expected a certificate in PEM, and its key") from None
    return context
