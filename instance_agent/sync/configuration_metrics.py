"""Metrics of the fleet's configuration in this process."""

import math

from centralcloud.runtime.http.metrics import CallbackMetrics
from instance_agent.sync.configuration_updater import ConfigurationUpdater


def show_configuration(metrics: CallbackMetrics, updater: ConfigurationUpdater) -> None:
    """Show which version is in use, and whether the newest one was refused."""

    def seconds_since_contact() -> float:
        seconds = updater.seconds_since_contact()
        return math.nan if seconds is None else seconds

    metrics.gauge("config_version", "Version of the configuration in use", lambda: updater.configuration.version)
    metrics.gauge("config_invalid", "1: the newest version is refused", lambda: updater.problem is not None)
    metrics.counter("config_refused", "Versions refused since the start", lambda: updater.refused)
    metrics.gauge("config_contact_age_seconds", "Time since the database was last reached", seconds_since_contact)
