"""The incident of the demonstration: each step is reported once and in order, as the database shows it."""

import re
import time

import pytest
from support.servers import execute

from centralcloud.demo.incident import Incident
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.demo.story import Story
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.findings import Finding, replace_findings

PAIR = ("ember-reason", "complex")


class Stage:
    """An incident whose fleet and findings the test controls."""

    def __init__(self, database: Database, *, seconds: float | None) -> None:
        self.simulated = SimulatedModels()
        self.story = Story()
        self.incident = Incident(self.simulated, self.story, seconds=seconds)
        self._database = database

    def at(self, seconds: float, *, share: float, rate: float = 0.98) -> list[str]:
        """Let the incident advance, and return the new lines of the story."""
        before = len(self.story.lines)
        self.incident.advance(self._database, seconds, share=share, rate=rate)
        return [line.text for line in self.story.lines[before:]]

    def alarm(self, *changes: tuple[float, float]) -> None:
        """Make alarms about changes from one success rate to another the open ones."""
        findings = [
            Finding("change_alarm", "/".join(PAIR), "changed", {"before": before, "after": after})
            for before, after in changes
        ]
        with self._database.transaction() as connection:
            replace_findings(connection, ["change_alarm"], findings)


@pytest.mark.parametrize(("seconds", "scale"), [(None, 1.0), (90.0, 1.0), (900.0, 1.0), (30.0, 1 / 3)])
def test_each_step_of_the_incident_is_reported_when_it_happens(
    seconds: float | None, scale: float, database: Database, database_url: str
) -> None:
    stage = Stage(database, seconds=seconds)
    assert stage.at(29.9 * scale, share=0.9) == []
    (line,) = stage.at(30.1 * scale, share=0.9)
    assert line == "INCIDENT: ember-reason silently drops from 98% to 30% on complex tasks"
    assert stage.simulated.success_rate(*PAIR) == 0.30
    assert stage.simulated.degraded() == {PAIR}
    assert stage.at(30.2 * scale, share=0.9) == []
    stage.alarm((0.98, 0.31))
    began_at = time.monotonic()
    execute(database_url, "UPDATE findings SET opened_at = clock_timestamp()")
    (line,) = stage.at(31 * scale, share=0.5, rate=0.93)
    since_opened = time.monotonic() - began_at  # at most: the alarm is this much older when it is read
    found = re.fullmatch(r"CentralCloud notices it after (\d+\.\d) seconds: 31% instead of 98% success", line)
    assert found, line
    assert 0.9 * scale - since_opened - 0.05 <= float(found[1]) <= 0.9 * scale + 0.05
    (line,) = stage.at(34 * scale, share=0.02)
    assert line == "ember-reason gets only 2.0% of the complex tasks, to check it"
    assert stage.incident.summary()[-1] == "It is still worse: the demonstration ended before it recovered."
    (line,) = stage.at(54.2 * scale, share=0.018)
    assert line == "ember-reason silently recovers; 1.8% of the complex tasks still check it"
    assert stage.simulated.success_rate(*PAIR) == 0.982
    assert stage.at(56 * scale, share=0.02) == []
    stage.alarm((0.31, 0.97))
    (line,) = stage.at(57 * scale, share=0.1)
    assert line == f"CentralCloud notices it after {2.8 * scale:.1f} seconds: ember-reason succeeds again"
    assert stage.at(59 * scale, share=0.8) == []
    stage.alarm()
    assert stage.at(61 * scale, share=0.9) == ["the alarm about ember-reason is closed"]
    assert stage.at(62 * scale, share=0.9) == []
    began, noticed, recovered = stage.incident.summary()
    assert began.startswith("The incident: ember-reason had 90% of the complex tasks when it silently got worse at 0:")
    assert noticed == (
        f"CentralCloud noticed it after {found[1]} seconds. Its share was below 5% after {3.9 * scale:.1f} seconds. "
        "The fleet's success fell from 98.0% to 93.0% at worst."
    )
    assert recovered.endswith(
        f"; this was noticed after {2.8 * scale:.1f} seconds and it leads complex tasks again after "
        f"{4.8 * scale:.1f} seconds."
    )
    seconds_of_lines = [line.seconds for line in stage.story.lines]
    assert seconds_of_lines == sorted(seconds_of_lines)


def test_a_rise_that_is_over_within_a_second_counts_as_noticed(database: Database) -> None:
    stage = Stage(database, seconds=90)
    stage.at(30, share=0.9)
    stage.alarm((0.98, 0.31))
    stage.at(31, share=0.5)
    stage.at(54, share=0.02)
    stage.alarm()
    stage.at(58, share=0.9)
    assert "this was noticed after" in stage.incident.summary()[-1]


def test_the_incident_waits_until_the_model_leads(database: Database) -> None:
    stage = Stage(database, seconds=None)
    assert stage.at(31, share=0.4) == []
    assert len(stage.at(40, share=0.6)) == 1
    assert stage.at(63, share=0.6) == []
    assert "silently recovers" in stage.at(64, share=0.1)[0]


def test_an_interrupted_incident_reports_the_steps_so_far(database: Database) -> None:
    stage = Stage(database, seconds=None)
    stage.at(3, share=0.9)
    assert stage.incident.summary() == ["The incident did not happen: it begins after 30 seconds."]
    stage.at(30, share=0.9)
    assert stage.incident.summary()[1:] == [
        "It has not been noticed yet.",
        "It is still worse: the demonstration ended before it recovered.",
    ]
    stage.at(55, share=0.4)
    assert stage.incident.summary()[-1] == "It silently recovered at 0:55; the routers have not returned to it yet."
