"""Whether the keys of clients can be checked: without them, every client of this machine would be an admin."""

import time
from typing import Final

from instance_agent.gateway.state import GatewayState
from instance_agent.sync.configuration_updater import ConfigurationUpdater

#: How long a copy without keys waits for the first contact with the database.
_CONTACT_SECONDS: Final = 10.0
_READ: Final = "they are being read"


class KnownKeys:
    """Decides from the state that requests use, which follows the updater in another thread."""

    def __init__(self, updater: ConfigurationUpdater, grace_seconds: float) -> None:
        """Create it; `grace_seconds`: how long keys count without the database."""
        self._updater = updater
        self._grace_seconds = grace_seconds
        self._began = time.monotonic()

    def unknown(self, state: GatewayState) -> str | None:
        """Return why keys cannot be checked by a state, in one line without names of hosts and roles; None: they can."""
        updater = self._updater
        if not state.loaded:
            return f"the keys are not known: {updater.unread or _READ}, and no copy of an earlier run exists"
        if not state.fleet.keys:
            if updater.configuration.keys:  # the state has not followed yet
                return f"the keys are not known: {_READ}"
            if not updater.reached and time.monotonic() - self._began < _CONTACT_SECONDS:
                return f"the keys are not known: {updater.unread or _READ}, and the copy of the last run has none"
            return None
        grace, seconds = self._grace_seconds, updater.seconds_since_contact()
        if seconds is not None and seconds > grace:
            return f"the keys cannot be checked: the database was not reached for more than {grace:g} s"
        return None
