"""The first contact of a gateway with its fleet, before it serves, and the last one: it leaves the register."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.addresses import is_loopback
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent.gateway.known_keys import KnownKeys
from instance_agent.gateway.state import StateBuilder
from instance_agent.settings import GatewaySettings
from instance_agent.sync.configuration_updater import ConfigurationUpdater
from instance_agent.sync.instance_claim import InstanceClaim

log = get_logger(__name__)

_LEAVE: Final = Query("instance_agent.sync", "leave")

#: How long a start waits for newer keys than those of the copy, where the copy has none; and without a copy, before it logs
#: that it waits.
_CONTACT_SECONDS: Final = 10.0
#: How long a start waits for the keys before it logs that it serves no request yet.
_FIRST_CONTACT_SECONDS: Final = 2.0
#: How often a gateway that serves no request yet looks whether it does.
_LOOK_SECONDS: Final = 0.1


class FirstContact:
    """Waits for the keys of the fleet: no request is served before they are known."""

    def __init__(
        self,
        settings: GatewaySettings,
        configuration: ConfigurationUpdater,
        keys: KnownKeys,
        builder: StateBuilder,
        shutdown: Shutdown,
        *,
        keys_only: bool = True,
    ) -> None:
        """Create it; `keys_only`: whether no request has a token or a certificate in place of a key."""
        self._address = settings.gateway_address
        self._configuration = configuration
        self._keys = keys
        self._builder = builder
        self._shutdown = shutdown
        self._keys_only = keys_only

    def wait_for_keys(self, service_manager: ServiceManager) -> None:
        """Before the gateway listens elsewhere than on this machine, wait until it is known that there are keys.

        Raises:
            CentralCloudError: there are none.
        """
        address = self._address
        if is_loopback(address):
            return
        began, waits = time.monotonic(), False
        while not self._configuration.loaded and not self._shutdown.wait(0.1):
            # A database that starts at the same time needs some seconds, and nothing has to be done.
            if not waits and time.monotonic() - began >= _CONTACT_SECONDS:
                waits = True
                unread = self._configuration.unread
                reason = f"after {_CONTACT_SECONDS:g} s, {unread}, and no copy of an earlier run exists"
                log.warning("gateway_waits_for_keys", address=address, reason=reason)
            service_manager.waiting("the keys of the fleet's configuration", 30.0)
        # The copy in the file may be old: keys may have been made since.
        until = time.monotonic() + _CONTACT_SECONDS
        while (
            not self._configuration.reached and not self._configuration.configuration.keys and time.monotonic() < until
        ):
            if self._shutdown.wait(0.05):
                return
        if not self._configuration.loaded or not self._keys_only:
            return
        if not self._configuration.configuration.keys:
            raise CentralCloudError(
                f"found no key, and the address {address}: without keys the gateway listens on this machine only; make one "
                "with `instance-agent keys create --role admin --label NAME`, or set INSTANCE_AGENT_GATEWAY_ADDRESS to "
                "127.0.0.1"
            )

    def announce(self, not_ready: Callable[[], list[str]], **fields: Any) -> None:
        """Log that the gateway listens; while no request is served, a warning, and another line once requests are served.

        Args:
            not_ready: returns why no request is served.
            fields: more fields of the line.
        """
        unknown = self._wait_a_little()
        if unknown is None:
            log.info("gateway_started", **fields, keys=self._keys_in_words())
            return
        log.warning("gateway_started", **fields, keys=f"no request is served yet: {unknown}")
        threading.Thread(target=self._announce_ready, args=(not_ready,), name="gateway ready", daemon=True).start()

    def _announce_ready(self, not_ready: Callable[[], list[str]]) -> None:
        began = time.monotonic()
        while not_ready():
            if self._shutdown.wait(_LOOK_SECONDS):
                return
        log.info("gateway_ready", seconds=round(time.monotonic() - began, 1), keys=self._keys_in_words())

    def _wait_a_little(self) -> str | None:
        """Wait a little for the first contact with the database; return why the keys are unknown after it."""
        until = time.monotonic() + _FIRST_CONTACT_SECONDS
        while True:
            state = self._builder.current
            assert state is not None
            unknown = self._keys.unknown(state)
            if unknown is None or time.monotonic() > until or self._shutdown.wait(0.02):
                return unknown

    def _keys_in_words(self) -> str:
        state = self._builder.current
        keys = state.fleet.keys if state is not None else None
        return "required" if keys or not self._keys_only else "none: only clients of this machine are served"


def leave_register(database: Database, claim: InstanceClaim, instance_id: str) -> None:
    """Leave the register of instances: a replica that was stopped on purpose is not missing.

    Where another program uses the same id, the row of the register is that program's, too.
    """
    try:
        with closing(database.connect(timeout_seconds=2.0)) as connection, connection.transaction():
            if (other := claim.claimed_elsewhere(connection)) is not None:
                reason = f"another program uses the same INSTANCE_ID: {other}"
                log.warning("instance_not_removed", reason=reason, effect="it stays in the list for that program")
                return
            _LEAVE.run(connection, {"instance_id": instance_id})
    except Exception as error:
        if not is_database_error(error):
            raise
        log.warning("instance_not_removed", reason=summarize_error(error), effect="it is listed until it is old")
