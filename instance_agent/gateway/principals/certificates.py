"""Certificates of clients (mTLS) as principals: a file maps their names to roles and workspaces."""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml
from msgspec import Struct

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Role
from centralcloud.contracts.limits import MAX_LABEL_LENGTH
from centralcloud.contracts.text import read_name
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of, read_bounded
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.principals.ids import principal_id

#: Kinds of names in certificates, in the order in which they are looked for.
_KINDS: Final = ("uri", "dns", "email", "common_name")
_OF_SUBJECT_ALT_NAMES: Final[Mapping[str, str]] = {"URI": "uri", "DNS": "dns", "email": "email"}
_MAX_BYTES: Final = 1_000_000
_LONGEST: Final = 500

Demand = Literal["optional", "required"]
#: A certificate, as `ssl.SSLSocket.getpeercert` returns it.
PeerCertificate = Mapping[str, Any]


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    uri: str | None = None
    dns: str | None = None
    email: str | None = None
    common_name: str | None = None
    workspace: str | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    principals: list[_Entry]


class ClientCertificates:
    """The authority of the clients' certificates, and the principals of their names.

    `principals` and the authority are read again with the certificate of the gateway.

    Attributes:
        required: whether a connection without a certificate is refused.
        principals: by kind and name.
    """

    def __init__(self, authority: Path, file: Path, demand: Demand) -> None:
        """Read the file; raise CentralCloudError when it cannot be used."""
        self.required = demand == "required"
        self._authority = authority
        self._file = file
        self.principals = read_principals(file)

    def add_to(self, context: ssl.SSLContext) -> None:
        """Let a context ask clients for certificates; raise CentralCloudError when the authority cannot be used."""
        try:
            context.load_verify_locations(self._authority)
        except (OSError, ssl.SSLError) as error:
            # OpenSSL names its own functions and lines.
            reason = "it has no certificate" if isinstance(error, ssl.SSLError) else (error.strerror or str(error))
            raise CentralCloudError(
                f"cannot use the authority of clients {self._authority}: {reason}, expected a PEM file with certificates"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED if self.required else ssl.CERT_OPTIONAL

    def read(self) -> Mapping[tuple[str, str], Principal]:
        """Read the file again; raise CentralCloudError when it cannot be used. `principals` stay as they are."""
        return read_principals(self._file)

    def state(self) -> tuple[Fingerprint | None, ...]:
        """Return a value that changes whenever one of the files is written."""
        return fingerprint_of(self._authority), fingerprint_of(self._file)

    def principal_of(self, certificate: PeerCertificate | None) -> Principal | None:
        """Return the principal of a certificate that the authority has signed; None for a name that the file does not have,
        and once the certificate has expired."""
        if (
            not certificate or ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time()
        ):  # an open connection stays
            return None
        names = _names_of(certificate)
        principals = self.principals
        return next((found for name in names if (found := principals.get(name)) is not None), None)


def read_principals(file: Path) -> Mapping[tuple[str, str], Principal]:
    """Read the principals of a file, YAML or JSON, by kind and name.

    Raises:
        CentralCloudError: it cannot be read, or is not valid; one line with the entry.
    """
    try:
        found = msgspec.convert(yaml.safe_load(read_bounded(file, _MAX_BYTES)), _File)
    except OSError as error:
        raise CentralCloudError(f"cannot read the principals {file}: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise CentralCloudError(f"principals {file}: not valid YAML: {' '.join(str(error).split())[:200]}") from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise CentralCloudError(f"principals {file}: {error}") from None
    principals: dict[tuple[str, str], Principal] = {}
    for number, entry in enumerate(found.principals):
        where = f"principals {file}: principals[{number}]"
        named = [(kind, name) for kind in _KINDS if (name := getattr(entry, kind)) is not None]
        if len(named) != 1:
            raise CentralCloudError(f"{where}: found {len(named)} names, expected one of {', '.join(_KINDS)}")
        kind, name = named[0]
        if read_name(name, _LONGEST) != name:
            raise CentralCloudError(f"{where}.{kind}: found {quote(name)}, expected 1 to {_LONGEST} plain characters")
        if entry.workspace is not None and read_name(entry.workspace, MAX_LABEL_LENGTH) != entry.workspace:
            raise CentralCloudError(
                f"{where}.workspace: found {quote(entry.workspace)}, expected a name of a workspace"
            )
        key = kind, _folded(kind, name)
        if key in principals:
            raise CentralCloudError(f"{where}.{kind}: found {quote(name)} a second time, expected each name once")
        principals[key] = Principal(
            key_id=principal_id("mtls", kind, _folded(kind, name)), role=entry.role, workspace=entry.workspace
        )
    return principals


def _names_of(certificate: PeerCertificate) -> list[tuple[str, str]]:
    """Return the names of a certificate in the order of `_KINDS`."""
    names = []
    for label, name in certificate.get("subjectAltName", ()):
        kind = _OF_SUBJECT_ALT_NAMES.get(label)
        if kind is not None:
            names.append((kind, _folded(kind, name)))
    for group in certificate.get("subject", ()):
        names += [("common_name", value) for label, value in group if label == "commonName"]
    return sorted(names, key=lambda each: _KINDS.index(each[0]))


def _folded(kind: str, name: str) -> str:
    """Return a name as it is compared: names of hosts have no upper and lower case."""
    return name.lower().rstrip(".") if kind == "dns" else name
