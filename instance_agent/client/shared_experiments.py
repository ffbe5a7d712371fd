"""The experiments of the fleet in a process without the database: as a gateway of this instance keeps them in its folder."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from centralcloud.contracts import ContractError, SettingsError
from centralcloud.contracts.fleet_configuration import Experiment, FleetConfiguration, RoutingPolicy, read_configuration
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of
from centralcloud.runtime.logs import get_logger
from instance_agent.settings import ClientSettings
from instance_agent.sync.configuration_file import ConfigurationFile, ReceivedConfiguration
from instance_agent.sync.daemon_heartbeat import DaemonHeartbeat

log = get_logger(__name__)


class SharedExperiments:
    """Experiments and the policies of their treatments. None without a state folder, or without a gateway that writes it.

    Attributes:
        experiments: those that may route requests.
        policies: of their treatments, with those that follow them, by name.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.experiments: tuple[Experiment, ...] = ()
        self.policies: Mapping[str, RoutingPolicy] = {}
        self._folder: Path | None = None
        self._fingerprint: Fingerprint | None = None
        self._received = ReceivedConfiguration()
        self._heartbeat: DaemonHeartbeat | None = None
        with contextlib.suppress(SettingsError):  # a client works without a state folder
            self._folder = settings.state_folder
            self._heartbeat = DaemonHeartbeat(self._folder)
        self.changed()

    def treating(self) -> bool:
        """Whether treatments may serve requests: a gateway has seen the daemon that watches them of late."""
        return bool(self.experiments) and self._heartbeat is not None and not self._heartbeat.is_silent()

    def changed(self) -> bool:
        """Read the files again where they are others; return whether experiments have changed."""
        if self._folder is None or self._heartbeat is None:
            return False
        file = ConfigurationFile(self._folder)
        found = fingerprint_of(file.path)
        if self.experiments:
            self._heartbeat.read()
        if found == self._fingerprint:
            return False
        self._fingerprint = found
        received = file.read()
        if received == self._received:  # it was touched: the gateway reaches the database
            return False
        self._received = received
        before = self.experiments, self.policies
        try:
            fleet = read_configuration(received.version, received.bodies)
        except ContractError as error:
            log.warning(
                "configuration_file_unreadable", path=str(file.path), reason=str(error), effect="no experiments"
            )
            fleet = FleetConfiguration()
        self.experiments = tuple(each for each in fleet.experiments if each.is_routed)
        self.policies = _policies_of(self.experiments, fleet.policies)
        self._heartbeat.read()
        return (self.experiments, self.policies) != before


def _policies_of(
    experiments: tuple[Experiment, ...], policies: Mapping[str, RoutingPolicy]
) -> dict[str, RoutingPolicy]:
    """Return the policies that treatments name, and those that follow them."""
    named = [each.policy for experiment in experiments for each in experiment.treatments if each.policy is not None]
    found: dict[str, RoutingPolicy] = {}
    while named:
        policy = policies.get(named.pop())
        if policy is not None and policy.name not in found:
            found[policy.name] = policy
            if policy.fallback is not None:
                named.append(policy.fallback)
    return found
