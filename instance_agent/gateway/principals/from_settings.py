"""Tokens and certificates of clients, as the settings name them."""

from typing import TYPE_CHECKING

from centralcloud.contracts import SettingsError
from centralcloud.runtime.extras import MissingExtraError, require_extra
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.principals.certificates import ClientCertificates
from instance_agent.gateway.principals.outside import OutsidePrincipals
from instance_agent.settings import GatewaySettings

if TYPE_CHECKING:
    from instance_agent.gateway.principals.token_keys import TokenKeys

_PREFIX = "INSTANCE_AGENT_GATEWAY"


def make_certificates(settings: GatewaySettings) -> ClientCertificates | None:
    """Return the certificates of clients that the settings name, None without any.

    Raises:
        CentralCloudError: one of the two settings is missing, or the file of principals cannot be used.
    """
    authority, file = settings.gateway_client_ca_file, settings.gateway_client_principals
    if authority is None and file is None:
        return None
    if authority is None or file is None:
        raise SettingsError(
            f"{_PREFIX}_CLIENT_CA_FILE and {_PREFIX}_CLIENT_PRINCIPALS: found one, expected both or none"
        )
    return ClientCertificates(authority, file, settings.gateway_client_certificates)


def make_token_keys(settings: GatewaySettings, database: Database) -> "TokenKeys | None":
    """Return the keys of tokens that the settings name, None without any. The extra ``jwt`` is loaded only here.

    Raises:
        SettingsError: one of three settings is missing, the extra is not installed, or the keys cannot be used.
    """
    names = ("JWKS", "ISSUER", "AUDIENCE")
    missing = [each for each in names if not getattr(settings, f"gateway_jwt_{each.lower()}")]
    if len(missing) == len(names):
        return None
    if missing:
        raise SettingsError(f"{_PREFIX}_JWT_{missing[0]} is not set, expected all of {', '.join(names)} or none")
    try:
        require_extra("jwt")
    except MissingExtraError as error:
        raise MissingExtraError(f"{_PREFIX}_JWT_JWKS {error}") from None
    from instance_agent.gateway.principals.token_keys import TokenKeys

    return TokenKeys(
        database,
        settings.gateway_jwt_jwks,
        grace_seconds=settings.gateway_key_grace_seconds,
        ca_file=settings.gateway_ca_file,
    )


def make_outside(
    settings: GatewaySettings, keys: "TokenKeys | None", certificates: ClientCertificates | None
) -> OutsidePrincipals | None:
    """Return what finds the principals of requests without a key, None where the settings name none."""
    if keys is None and certificates is None:
        return None
    if keys is None:
        return OutsidePrincipals(None, certificates)
    from instance_agent.gateway.principals.tokens import Tokens, TokenSettings

    tokens = TokenSettings(
        issuer=settings.gateway_jwt_issuer,
        audience=settings.gateway_jwt_audience,
        algorithms=tuple(settings.gateway_jwt_algorithms.split(",")),
        role_claim=settings.gateway_jwt_role_claim,
        workspace_claim=settings.gateway_jwt_workspace_claim or None,
    )
    return OutsidePrincipals(Tokens(keys, tokens), certificates)
