"""`centralcloud doctor`: the checks of an operator."""

from centralcloud.cli.context import read_settings
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import unknown_variables
from centralcloud.runtime.terminal.checkup_output import print_checkup, progress_line
from centralcloud.runtime.terminal.output import AsJson
from centralcloud.settings import Settings


def doctor(json_output: AsJson = False) -> None:
    """Check the database, the settings and the fleet. Each check is OK, WARN or FAIL, and says what to do.

    Exit code 1 when a check has failed.
    """
    from centralcloud.fleet_settings import FleetSettingsSource
    from centralcloud.monitoring.daemon_activity import LearnerSchedule
    from centralcloud.monitoring.doctor import Expectations, examine

    settings = read_settings()
    configure_logs("error", settings.log_format, at_prompt=True)  # the checks describe what would be logged
    fleet = FleetSettingsSource(settings)
    with Database(settings.database, application_name="centralcloud/doctor", max_connections=2) as database:
        expectations = Expectations(
            settings.http_address,
            settings.http_port,
            unknown_variables(Settings, DashboardSettings),
            lambda connection: [str(each) for each in fleet.differences(connection)],
            LearnerSchedule(settings.learn_interval_seconds, settings.learn_schedule),
        )
        with progress_line() as progress:
            results = examine(database, expectations, progress)
    print_checkup(results, as_json=json_output)
