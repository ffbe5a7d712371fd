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

    def seconds_since_heartbeat() -> float:
        seconds = updater.daemon_heartbeat.age_seconds
        return math.nan if seconds is None else seconds

    metrics.gauge("experiments_running", "Experiments that run", lambda: updater.running_experiments)
    metrics.gauge(
        "experiments_daemon_silent",
        "1: experiments run, and no request is treated, because the daemon was not seen for 15 minutes",
        lambda: updater.running_experiments > 0 and updater.daemon_heartbeat.is_silent(),
    )
    metrics.gauge(
        "experiments_daemon_age_seconds", "Time since the daemon last looked at experiments", seconds_since_heartbeat
    )
    metrics.gauge("config_contact_age_seconds", "Time since the database was last reached", seconds_since_contact)
