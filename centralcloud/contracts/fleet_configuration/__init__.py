"""The fleet's configuration in its wire form: models, endpoints and keys under one version, and posted health. Pure."""

from centralcloud.contracts.fleet_configuration.addresses import (
    PRIVATE_ALLOWED,
    PUBLIC_ONLY,
    AddressPolicy,
    check_url,
    refusal_of,
    refusal_of_host,
)
from centralcloud.contracts.fleet_configuration.configuration import (
    CONFIGURATION_CHANNEL,
    KINDS,
    Bodies,
    Change,
    EntryKey,
    FleetConfiguration,
    apply_changes,
    put,
    read_configuration,
    remove,
)
from centralcloud.contracts.fleet_configuration.endpoint import RegisteredEndpoint, endpoint_id, parse_endpoint
from centralcloud.contracts.fleet_configuration.health import (
    DEFAULT_TTL_SECONDS,
    HealthReport,
    ModelHealth,
    parse_health,
)
from centralcloud.contracts.fleet_configuration.key import (
    ROLES,
    ApiKey,
    Role,
    find_key,
    hash_key,
    key_prefix,
    new_key_text,
    parse_key,
)
from centralcloud.contracts.fleet_configuration.model import (
    Capability,
    ComplexityScores,
    Pricing,
    RegisteredModel,
    parse_model,
)
from centralcloud.contracts.fleet_configuration.values import canonical_json, to_body

__all__ = [
    "CONFIGURATION_CHANNEL",
    "DEFAULT_TTL_SECONDS",
    "KINDS",
    "PRIVATE_ALLOWED",
    "PUBLIC_ONLY",
    "ROLES",
    "AddressPolicy",
    "ApiKey",
    "Bodies",
    "Capability",
    "Change",
    "ComplexityScores",
    "EntryKey",
    "FleetConfiguration",
    "HealthReport",
    "ModelHealth",
    "Pricing",
    "RegisteredEndpoint",
    "RegisteredModel",
    "Role",
    "apply_changes",
    "canonical_json",
    "check_url",
    "endpoint_id",
    "find_key",
    "hash_key",
    "key_prefix",
    "new_key_text",
    "parse_endpoint",
    "parse_health",
    "parse_key",
    "parse_model",
    "put",
    "read_configuration",
    "refusal_of",
    "refusal_of_host",
    "remove",
    "to_body",
]
