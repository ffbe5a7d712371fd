"""The certificate of a server, from its files."""

import ssl
from pathlib import Path
from typing import Final

from centralcloud.contracts import CentralCloudError

#: Characters of a file that are read for the reason why it cannot be used.
_MOST_CHARACTERS: Final = 1_000_000


def load_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a server with this certificate and its key, PEM files.

    Raises:
        CentralCloudError: they cannot be used; says which one, and how.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password, here none, OpenSSL would ask for that of an encrypted key on the terminal, and wait.
        context.load_cert_chain(certificate, key, password="")  # nosec B106
    except (OSError, ssl.SSLError) as error:
        raise CentralCloudError(_problem_of(certificate, key, error)) from None
    return context


def _problem_of(certificate: Path, key: Path, error: OSError) -> str:
    """Return which of the two files is wrong, and how: OpenSSL names its own functions and lines."""
    try:
        for name, path in (("certificate", certificate), ("key", key)):
            with path.open(errors="replace") as file:
                text = file.read(_MOST_CHARACTERS)
            if name == "certificate" and "CERTIFICATE-----" not in text:
                return f"cannot use the certificate {path}: found no certificate in it, expected a PEM file"
            if name == "key" and "PRIVATE KEY-----" not in text:
                return f"cannot use the key {path} of the certificate: found no private key in it, expected a PEM file"
            if name == "key" and "ENCRYPTED" in text:
                return f"cannot use the key {path} of the certificate: it is encrypted, expected one without a password"
    except OSError as unread:
        return f"cannot use the {name} {path}: {unread.strerror}, expected a PEM file"
    both = f"cannot use the certificate {certificate} with the key {key}"
    if isinstance(error, ssl.SSLError) and "MISMATCH" in (error.reason or ""):
        return f"{both}: the key is not that of the certificate"
    return f"{both}: {error.strerror or error}"
