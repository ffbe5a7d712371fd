"""The incident of the demonstration: each step is printed once and in order, as the database shows it."""

from types import SimpleNamespace

import pytest
from support.servers import execute

from centralcloud.demo.incident import Incident
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.findings import Finding, replace_findings

PAIR = ("ember-reason", "complex")


class Stage:
    """A fleet and findings that the test controls."""

    def __init__(self, database: Database, *, seconds: float | None) -> None:
        self.simulated = SimulatedModels()
        self.incident = Incident(self.simulated, seconds=seconds)
        self.fleet = SimpleNamespace(recent_rate=0.98, recent_share=lambda model, complexity: self.share)
        self.share = 0.9
        self._database = database

    def at(self, seconds: float, *, share: float) -> list[str]:
        self.share = share
        return [line.text for line in self.incident.advance(self._database, self.fleet, seconds)]  # type: ignore[arg-type]

    def alarm(self, *messages: str) -> None:
        with self._database.transaction() as connection:
            replace_findings(
                connection, ["change_alarm"], [Finding("change_alarm", "/".join(PAIR), each, {}) for each in messages]
            )


@pytest.mark.parametrize(("seconds", "scale"), [(None, 1.0), (90.0, 1.0), (900.0, 1.0), (30.0, 1 / 3)])
def test_each_step_of_the_incident_is_printed_when_it_happens(
    seconds: float | None, scale: float, database: Database, database_url: str
) -> None:
    stage = Stage(database, seconds=seconds)
    assert stage.at(29.9 * scale, share=0.9) == []
    (line,) = stage.at(30.1 * scale, share=0.9)
    assert (
        line == "ember-reason silently degrades: 30% of its complex tasks succeed instead of 98%; it gets 90% of them"
    )
    assert stage.simulated.success_rate(*PAIR) == 0.30
    assert stage.at(30.2 * scale, share=0.9) == []
    stage.alarm("ember-reason fell from 0.98 to 0.31")
    execute(database_url, "UPDATE findings SET opened_at = clock_timestamp()")
    assert stage.at(31 * scale, share=0.5) == ["noticed: ember-reason fell from 0.98 to 0.31"]
    (line,) = stage.at(34 * scale, share=0.02)
    assert line == "avoided: ember-reason gets 2.0% of complex tasks, to re-check it"
    (line,) = stage.at(54 * scale, share=0.018)
    assert line == "ember-reason silently recovers; 1.8% of complex tasks still re-check it"
    assert stage.simulated.success_rate(*PAIR) == 0.982
    assert stage.at(56 * scale, share=0.02) == []
    stage.alarm("ember-reason rose from 0.31 to 0.97")
    assert stage.at(57 * scale, share=0.1) == ["noticed: ember-reason rose from 0.31 to 0.97"]
    assert stage.at(59 * scale, share=0.8) == ["leading again: ember-reason gets 80% of complex tasks"]
    stage.alarm()
    assert stage.at(61 * scale, share=0.9) == ["forgiven: the finding is closed"]
    assert stage.at(62 * scale, share=0.9) == []
    led, noticed, fell, back = stage.incident.summary(stage.fleet)  # type: ignore[arg-type]
    assert led.startswith(f"ember-reason led complex tasks with 90% of them; after {30.1 * scale:.0f} s it degraded")
    assert noticed.endswith(" s: ember-reason fell from 0.98 to 0.31")
    assert f"its share fell to 1.8%, below 5% after {3.9 * scale:.1f} s" in fell
    assert f"it led again after {5 * scale:.1f} s, and the finding was closed after" in back


def test_a_rise_that_is_over_within_a_second_counts_as_noticed(database: Database) -> None:
    stage = Stage(database, seconds=90)
    stage.at(30, share=0.9)
    stage.alarm("fell")
    stage.at(31, share=0.5)
    stage.at(54, share=0.02)
    stage.alarm()
    stage.at(58, share=0.9)
    assert "its probes showed it after" in stage.incident.summary(stage.fleet)[-1]  # type: ignore[arg-type]


def test_an_interrupted_incident_reports_the_steps_so_far(database: Database) -> None:
    stage = Stage(database, seconds=None)
    stage.at(3, share=0.9)
    assert stage.incident.summary(stage.fleet) == [  # type: ignore[arg-type]
        "the incident did not happen: it comes 30 seconds after the start"
    ]
    stage.at(30, share=0.9)
    assert stage.incident.summary(stage.fleet)[1] == "it was not noticed"  # type: ignore[arg-type]
    stage.at(55, share=0.9)
    assert "not noticed yet, it does not lead again yet" in stage.incident.summary(stage.fleet)[-1]  # type: ignore[arg-type]
