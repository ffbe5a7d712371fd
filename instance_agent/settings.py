"""The settings of an instance: environment variables with the prefix INSTANCE_AGENT_, and a few established names."""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import platformdirs
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import MAX_ID_LENGTH, MAX_RATE_REQUESTS, MAX_RATE_WINDOW_MS, MIN_RATE_WINDOW_MS
from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.contracts.text import read_name
from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings
from instance_agent.sync.confirmed_events import DEFAULT_RESEND_EVENTS, DEFAULT_RESEND_SECONDS
from instance_agent.sync.event_queue import DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_SIZE
from instance_agent.sync.spool import DEFAULT_SPOOL_BYTES


def _plain_id(instance_id: str) -> str:
    """Return the id as ingest reads it from events, so that acknowledgements have the same one."""
    plain = read_name(instance_id, MAX_ID_LENGTH)
    if plain is None:
        raise ValueError(
            "expected an id without control, bidirectional or invisible characters, and not of spaces only"
        )
    return plain


InstanceId = Annotated[str, AfterValidator(_plain_id)]


#: Kubernetes gives each pod such a variable for each service; a service of the gateway's own name would set its port.
_OF_A_SERVICE: Final = re.compile(r"(?:tcp|udp|sctp)://")
DEFAULT_GATEWAY_PORT: Final = 3003
#: Most bytes of a gateway's spool: about 2,500,000 events, which are 200 a second for more than 3 hours.
DEFAULT_GATEWAY_SPOOL_BYTES: Final = 2_000_000_000


#: Levels of other programs.
_LEVELS: Final = {"warn": "warning", "trace": "debug", "verbose": "debug", "silly": "debug", "fatal": "error"}


def _lowered(value: Any) -> Any:
    return _LEVELS.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _own_port(value: Any) -> Any:
    return DEFAULT_GATEWAY_PORT if isinstance(value, str) and _OF_A_SERVICE.match(value) else value


#: The serialization of an origin in the WHATWG URL standard, of the schemes that browsers and their extensions use.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}


#: Algorithms of the signatures of tokens, as `gateway.principals.token_keys` has them.
_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")


class AgentSettings(ProgramSettings):
    """The settings of an instance, from environment variables: docs/reference/settings.md lists them with their ranges.

    `AgentSettings()` reads the environment; an argument of the name of an attribute takes precedence. A wrong value raises
    `pydantic.ValidationError`.

    Attributes:
        database_url: DATABASE_URL, the database.
        database_url_file: DATABASE_URL_FILE, a file that contains only the URL.
        instance_id: INSTANCE_ID, the id of this instance in events; the host name by default.
        catalog: INSTANCE_AGENT_CATALOG, the catalog YAML; None: no models.
        state_dir: INSTANCE_AGENT_STATE_DIR, the folder of learned scores; None: see `state_folder`.
        poll_interval_seconds: INSTANCE_AGENT_POLL_INTERVAL_SECONDS, longest wait before the next poll.
        reconcile_interval_seconds: INSTANCE_AGENT_RECONCILE_INTERVAL_SECONDS, how often every score is compared.
        selection: INSTANCE_AGENT_SELECTION, how the best model is found.
        exploration: INSTANCE_AGENT_EXPLORATION, share of decisions that take any suitable model, 0 to 1.
        ignore_learned: INSTANCE_AGENT_IGNORE_LEARNED, route by the YAML alone.
        pgmq_enabled: EX_LLM_PGMQ_ENABLED, whether decisions and outcomes are published.
        publish_queue_size: INSTANCE_AGENT_PUBLISH_QUEUE_SIZE, most events that wait in memory.
        publish_queue_bytes: INSTANCE_AGENT_PUBLISH_QUEUE_BYTES, most bytes of the events that wait in memory.
        resend_seconds: INSTANCE_AGENT_RESEND_SECONDS, how long confirmed events are kept for a failover; 0: not at all.
        resend_events: INSTANCE_AGENT_RESEND_EVENTS, most confirmed events that are kept.
        spool_dir: INSTANCE_AGENT_SPOOL_DIR, the folder that keeps events on disk until they are sent; None: none does.
        spool_bytes: INSTANCE_AGENT_SPOOL_BYTES, most bytes on disk.
    """

    model_config = SettingsConfigDict(env_prefix="INSTANCE_AGENT_")

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL", "DATABASE_URL")
    )
    database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    )
    instance_id: InstanceId = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=MAX_ID_LENGTH,
        validation_alias=AliasChoices("INSTANCE_ID"),
    )
    catalog: Path | None = None
    state_dir: Path | None = None
    poll_interval_seconds: float = Field(default=10.0, ge=0.01, le=3600)
    reconcile_interval_seconds: float = Field(default=60.0, ge=0.01, le=86_400)
    selection: SelectionMode = "auto"
    exploration: float = Field(default=0.0, ge=0, le=1)
    ignore_learned: bool = False
    pgmq_enabled: bool = Field(default=True, validation_alias=AliasChoices("EX_LLM_PGMQ_ENABLED"))
    publish_queue_size: int = Field(default=DEFAULT_QUEUE_SIZE, ge=1, le=10_000_000)
    publish_queue_bytes: int = Field(default=DEFAULT_QUEUE_BYTES, ge=1_000_000, le=100_000_000_000)
    resend_seconds: float = Field(default=DEFAULT_RESEND_SECONDS, ge=0, le=3600)
    resend_events: int = Field(default=DEFAULT_RESEND_EVENTS, ge=0, le=10_000_000)
    spool_dir: Path | None = None
    spool_bytes: int = Field(default=DEFAULT_SPOOL_BYTES, ge=1_000_000, le=1_000_000_000_000)

    @property
    def state_folder(self) -> Path:
        """Folder of the learned scores: `state_dir`, else a folder for this instance in the user's state folder.

        Raises:
            SettingsError: neither is known.
        """
        if self.state_dir is not None:
            return self.state_dir
        try:
            folder = platformdirs.user_state_path("instance-agent")
        except RuntimeError:  # neither HOME nor an entry for this user
            raise SettingsError(
                f"INSTANCE_AGENT_STATE_DIR is not set, and uid {os.getuid()} has no home folder: set it to a folder that "
                "the agent may write"
            ) from None
        return folder / self.instance_id.replace("/", "_")

    @property
    def spool_folder(self) -> Path | None:
        """Folder of this instance in `spool_dir`: another instance may not be allowed to send its events."""
        return None if self.spool_dir is None else self.spool_dir / self.instance_id.replace("/", "_")


def _origins(text: str) -> str:
    """Check a list of origins, each as a browser sends it: otherwise it would never match, and without a word."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if name == "*" and len(names) == 1:
            continue
        if not _ORIGIN.fullmatch(name) or name.endswith(_DEFAULT_PORTS.get(name.partition(":")[0], " ")):
            raise ValueError(
                f"expected * alone, or origins such as https://app.example:8443, in lower case, without a path, a slash at "
                f"the end and a default port; found {quote(name)}"
            )
    return ",".join(names)


def _algorithms(text: str) -> str:
    """Check a list of algorithms of signatures: never one that a public key, or no key, could sign with."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    if not names or any(name not in _ALGORITHMS for name in names):
        raise ValueError(f"expected one or more of {', '.join(_ALGORITHMS)}, separated by commas")
    return ",".join(names)


class KeySettings(AgentSettings):
    """The settings of `instance-agent keys`: those of an instance, and the rate limit of new keys.

    Attributes:
        rate_limit_max: RATE_LIMIT_MAX, requests in a window, of a key that is made without a limit of its own; 0: none.
        rate_limit_window_ms: RATE_LIMIT_WINDOW_MS, length of that window in milliseconds.
    """

    rate_limit_max: int = Field(
        default=1000,
        ge=0,
        le=MAX_RATE_REQUESTS,
        validation_alias=AliasChoices("INSTANCE_AGENT_RATE_LIMIT_MAX", "RATE_LIMIT_MAX"),
    )
    rate_limit_window_ms: int = Field(
        default=900_000,
        ge=MIN_RATE_WINDOW_MS,
        le=MAX_RATE_WINDOW_MS,
        validation_alias=AliasChoices("INSTANCE_AGENT_RATE_LIMIT_WINDOW_MS", "RATE_LIMIT_WINDOW_MS"),
    )


class GatewaySettings(KeySettings):
    """The settings of `instance-agent serve`: those of an instance, and those of the gateway.

    Attributes:
        gateway_port: INSTANCE_AGENT_GATEWAY_PORT, else PORT.
        gateway_address: INSTANCE_AGENT_GATEWAY_ADDRESS, the address to listen on.
        gateway_tls_certificate, gateway_tls_key: INSTANCE_AGENT_GATEWAY_TLS_CERTIFICATE and _TLS_KEY, PEM files; None: HTTP.
        gateway_cors_origins: INSTANCE_AGENT_GATEWAY_CORS_ORIGINS, origins of web pages that may call, as browsers send them,
            separated by commas; ``*`` alone: all.
        gateway_drain_seconds: INSTANCE_AGENT_GATEWAY_DRAIN_SECONDS, how long a stop waits for running requests.
        gateway_key_grace_seconds: INSTANCE_AGENT_GATEWAY_KEY_GRACE_SECONDS, how long keys count without the database.
        gateway_ca_file: INSTANCE_AGENT_GATEWAY_CA_FILE, more certificates of upstreams, PEM.
        gateway_private_endpoints: INSTANCE_AGENT_GATEWAY_PRIVATE_ENDPOINTS, whether registered endpoints may be in private
            networks or on this machine.
        gateway_jwt_jwks: INSTANCE_AGENT_GATEWAY_JWT_JWKS, the keys of tokens: a file, or an https address; empty: no tokens.
        gateway_jwt_issuer, gateway_jwt_audience: INSTANCE_AGENT_GATEWAY_JWT_ISSUER and _AUDIENCE, claims of each token.
        gateway_jwt_algorithms: INSTANCE_AGENT_GATEWAY_JWT_ALGORITHMS, of their signatures, separated by commas.
        gateway_jwt_role_claim: INSTANCE_AGENT_GATEWAY_JWT_ROLE_CLAIM, the claim with the role, or with a list of roles.
        gateway_jwt_workspace_claim: INSTANCE_AGENT_GATEWAY_JWT_WORKSPACE_CLAIM, the claim with the workspace; empty: none.
        gateway_client_ca_file: INSTANCE_AGENT_GATEWAY_CLIENT_CA_FILE, authority of clients' certificates, PEM; None: none.
        gateway_client_principals: INSTANCE_AGENT_GATEWAY_CLIENT_PRINCIPALS, the file with their roles and workspaces.
        gateway_client_certificates: INSTANCE_AGENT_GATEWAY_CLIENT_CERTIFICATES, whether each connection needs one.
        gateway_hooks: INSTANCE_AGENT_GATEWAY_HOOKS, names of hooks in their order, separated by commas; ``all``; ``none``.
        gateway_hook_seconds: INSTANCE_AGENT_GATEWAY_HOOK_SECONDS, limit of each call of a hook.
        gateway_hook_fail_mode: INSTANCE_AGENT_GATEWAY_HOOK_FAIL_MODE, whether requests go on without a hook that fails.
        gateway_keep_alive_seconds: INSTANCE_AGENT_GATEWAY_KEEP_ALIVE_SECONDS, comments before the first token; 0: none.
        gateway_max_attempts: INSTANCE_AGENT_GATEWAY_MAX_ATTEMPTS, of one request.
        gateway_deadline_seconds: INSTANCE_AGENT_GATEWAY_DEADLINE_SECONDS, of one request, see `WalkSettings`.
        gateway_discovery_seconds: INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS, how often local providers are asked for their
            models; 0: never.
        gateway_health_check_seconds: INSTANCE_AGENT_GATEWAY_HEALTH_CHECK_SECONDS, how often endpoints with an address for
            it are checked; 0: never.
        gateway_health_check_timeout_seconds: INSTANCE_AGENT_GATEWAY_HEALTH_CHECK_TIMEOUT_SECONDS, of one check.
        gateway_cache_bytes: INSTANCE_AGENT_GATEWAY_CACHE_BYTES, of the cache of whole answers; 0: no cache.
        gateway_cache_seconds: INSTANCE_AGENT_GATEWAY_CACHE_SECONDS, how long the cache keeps an answer.
        gateway_cache_any_temperature: INSTANCE_AGENT_GATEWAY_CACHE_ANY_TEMPERATURE, whether it keeps more than answers of
            requests with the temperature 0.
        spool_bytes: INSTANCE_AGENT_SPOOL_BYTES, most bytes on disk; more than for an instance.
        store_objective: INSTANCE_AGENT_STORE_OBJECTIVE, whether events have the begin of a request's text.
        gateway_event_loop: INSTANCE_AGENT_GATEWAY_EVENT_LOOP, ``uvloop``, or ``asyncio``, which is slower.
        redis_url, node_env: REDIS_URL and NODE_ENV, which other gateways need: accepted, and not needed.
    """

    gateway_port: Annotated[int, BeforeValidator(_own_port)] = Field(
        default=DEFAULT_GATEWAY_PORT,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("INSTANCE_AGENT_GATEWAY_PORT", "PORT"),
    )
    gateway_address: str = "127.0.0.1"
    gateway_tls_certificate: Path | None = None
    gateway_tls_key: Path | None = None
    gateway_cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    gateway_drain_seconds: float = Field(default=25.0, ge=0, le=3600)
    gateway_key_grace_seconds: float = Field(default=86_400.0, ge=0, le=31_536_000)
    gateway_ca_file: Path | None = None
    gateway_private_endpoints: bool = False
    gateway_jwt_jwks: str = ""
    gateway_jwt_issuer: str = ""
    gateway_jwt_audience: str = ""
    gateway_jwt_algorithms: Annotated[str, AfterValidator(_algorithms)] = "RS256,ES256,EdDSA"
    gateway_jwt_role_claim: str = Field(default="role", min_length=1)
    gateway_jwt_workspace_claim: str = ""
    gateway_client_ca_file: Path | None = None
    gateway_client_principals: Path | None = None
    gateway_client_certificates: Literal["optional", "required"] = "optional"
    gateway_hooks: str = Field(default="all", min_length=1)
    gateway_hook_seconds: float = Field(default=1.0, gt=0, le=60)
    gateway_hook_fail_mode: Literal["closed", "open"] = "closed"
    gateway_keep_alive_seconds: float = Field(default=0.0, ge=0, le=3600)
    gateway_max_attempts: int = Field(default=3, ge=1, le=20)
    gateway_deadline_seconds: float = Field(default=900.0, ge=1, le=86_400)
    gateway_discovery_seconds: float = Field(default=30.0, ge=0, le=86_400)
    gateway_health_check_seconds: float = Field(default=30.0, ge=0, le=86_400)
    gateway_health_check_timeout_seconds: float = Field(default=5.0, gt=0, le=600)
    gateway_cache_bytes: int = Field(default=0, ge=0, le=100_000_000_000)
    gateway_cache_seconds: float = Field(default=300.0, gt=0, le=604_800)
    gateway_cache_any_temperature: bool = False
    spool_bytes: int = Field(default=DEFAULT_GATEWAY_SPOOL_BYTES, ge=1_000_000, le=1_000_000_000_000)
    store_objective: bool = False
    gateway_event_loop: Annotated[Literal["uvloop", "asyncio"], BeforeValidator(_lowered)] = "uvloop"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)] = Field(
        default="info", validation_alias=AliasChoices("INSTANCE_AGENT_LOG_LEVEL", "LOG_LEVEL")
    )
    redis_url: str | None = Field(default=None, validation_alias=AliasChoices("REDIS_URL"), repr=False)
    node_env: str | None = Field(default=None, validation_alias=AliasChoices("NODE_ENV"))

    @property
    def spool_folder(self) -> Path:
        """Folder that keeps events on disk: as for an instance, else a folder inside the state folder. Always one."""
        return super().spool_folder or self.state_folder / "spool"


class ClientSettings(AgentSettings):
    """The settings of `UnifiedModelClient`: those of an instance, and those of a process that calls models itself.

    Attributes:
        daily_budget_usd: INSTANCE_AGENT_DAILY_BUDGET_USD, for `RouterAnalytics.get_daily_budget_remaining`; None: none.
    """

    daily_budget_usd: float | None = Field(default=None, ge=0, le=1_000_000_000)
