"""Experiments in words, and what a canary waits for."""

from datetime import UTC, datetime, timedelta

from support.experiments import NO_EVIDENCE, SAFE, an_experiment, at, log_of
from support.known_experiments import BETTER, Known, facts_of

from centralcloud.contracts.fleet_configuration import ExperimentScope
from centralcloud.dashboard.pages.experiment_arms import arms_of, caveats, cost_sentences
from centralcloud.dashboard.pages.experiment_history import history_of
from centralcloud.dashboard.pages.experiment_ramp import steps_of, waiting_of
from centralcloud.dashboard.pages.experiment_words import scope_words, share_words, stage_words
from centralcloud.dashboard.pages.running_experiments import running_experiments
from centralcloud.dashboard.sources.experiments import ExperimentChange, Experiments
from centralcloud.experiments.results import Verdict
from centralcloud.runtime.configuration.experiments import ConfiguredExperiment

NOW = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)


def test_stages_are_said_as_they_came_about() -> None:
    def said(**stage: object) -> str:
        return stage_words(an_experiment(treatments=[{"model": "b"}], stage=stage))

    assert said() == "runs with 1% of the sessions"
    assert said(status="paused", by_hand=False, reason="fewer successes") == "is paused: fewer successes"
    assert said(status="paused", by_hand=True, reason="paused by hand: lunch") == "is paused by hand"
    assert said(status="promoted", winner="b", by_hand=True) == "has promoted b by hand"
    assert said(status="promoted", winner="b", by_hand=False) == "has promoted b"
    several = an_experiment(kind="ab", treatments=[{"model": "a"}, {"model": "b"}])
    assert stage_words(several) == "runs with 33.3% of the sessions for each treatment"
    assert share_words(several) == "33.3% each"


def test_a_scope_is_said_in_full() -> None:
    assert scope_words(ExperimentScope()) == "requests for auto"
    scope = ExperimentScope(("simple", "complex"), ("code",), ("fast",), ("acme",), ("policy:fast",))
    assert scope_words(scope) == (
        "simple or complex requests for policy:fast, task type code, served by the policy fast, workspace acme"
    )


def test_a_step_waits_for_time_outcomes_and_evidence_and_names_what_is_missing() -> None:
    experiment = an_experiment()
    facts = facts_of(experiment, BETTER._replace(facts=SAFE._replace(treated=49, loss_excluded=(0, log_of(19), 0, 0))))
    upward, guards = waiting_of(experiment, facts, at(599))
    assert upward.title == "It steps up to 5% when all of these are reached"
    assert [(each.name, each.is_met) for each in upward.conditions] == [
        ("Time on this step", False),
        ("Outcomes of the treatment", False),
        ("Loses less than 20 points of success", False),
    ]
    met = facts_of(experiment, BETTER._replace(facts=SAFE._replace(treated=50)))
    assert all(each.is_met for each in waiting_of(experiment, met, at(600))[0].conditions)
    assert guards.title == "It pauses, and begins again, when one of these is reached"
    assert not any(each.is_met for each in guards.conditions)
    last = an_experiment(stage={"retries": 1})
    assert waiting_of(last, met, at(600))[1].title == "It is rolled back when one of these is reached"
    assert waiting_of(an_experiment(stage={"status": "stopped", "share": 0.0}), met, at(600)) == ()
    nothing_folded, _ = waiting_of(experiment, {}, at(600))
    assert [each.is_met for each in nothing_folded.conditions] == [True, False, False]
    paused = an_experiment(stage={"status": "paused", "share": 0.0, "by_hand": False})
    (pause,) = waiting_of(paused, met, at(600))
    assert pause.title == "It begins again when all of these are reached"
    assert [each.name for each in pause.conditions] == [
        "Time of the pause",
        "Sessions from before the pause have ended and count",
    ]


def test_a_promotion_on_hold_shows_how_long_it_waits_and_its_guards() -> None:
    held = an_experiment(stage={"step": 4, "share": 0.95, "winner": "b"})
    upward, guards = waiting_of(held, facts_of(held, BETTER._replace(facts=SAFE)), at(7200))
    assert upward.title == "The promotion is final when all of these are reached"
    assert [(each.name, each.now, each.needed) for each in upward.conditions] == [
        ("Time of the hold", "2 hours", "24 hours")
    ]
    assert len(guards.conditions) == 3
    assert [(each.share, each.is_hold) for each in steps_of(held)][-2:] == [("50%", False), ("95%", True)]


def test_steps_before_the_present_one_are_done() -> None:
    running = an_experiment(stage={"step": 1, "share": 0.05})
    assert [each.state for each in steps_of(running)] == ["done", "now", "ahead", "ahead", "ahead"]
    promoted = an_experiment(treatments=[{"model": "b"}], stage={"status": "promoted", "winner": "b", "step": 3})
    assert {each.state for each in steps_of(promoted)} == {"done"}
    rolled_back = an_experiment(stage={"status": "rolledBack", "step": 1, "share": 0.0})
    assert [each.state for each in steps_of(rolled_back)] == ["done", "ended", "ahead", "ahead", "ahead"]


def test_longer_sessions_and_late_events_are_said_beside_the_numbers() -> None:
    experiment = an_experiment()
    facts = facts_of(experiment, Known((4000, 3800), (4000, 3800), late=2, counts={"sessions": 500, "aborts": 7}))
    assert caveats(facts, "b") == (
        "2 events came after their time was counted, and count nowhere.",
        "Sessions of b have 100% more requests than those of control: rates by request do not show that.",
    )
    lines = {each.name: (each.control, each.treatment) for each in arms_of(experiment, facts)}
    assert lines["Aborted by the client"] == ("0", "7")
    assert lines["Requests of a session"] == ("4.00", "8.00")
    assert cost_sentences(experiment, facts, "b")[0].endswith("about as many failed as at control.")
    assert arms_of(experiment, {}) == ()


def test_the_history_has_verdicts_and_changes_by_hand_but_no_change_of_the_daemon_twice() -> None:
    experiment = an_experiment()
    verdicts = [Verdict(1, experiment.id, 0, at(600), "step", {"share": 0.05, "reason": "safe"})]
    changes = [
        ExperimentChange(3, at(900), "ada as op", "web", "::1", "lunch", "running", "paused"),
        ExperimentChange(2, at(600), "centralcloud as w", "daemon", "h", "safe", "running", "running"),
        ExperimentChange(1, at(0), "ann as o", "cli", "host", None, None, "running"),
    ]
    found = history_of(experiment, verdicts, changes)
    assert [(each.badge[1], each.reason, each.who) for each in found.events] == [
        ("was paused", "lunch", "ada, on a page"),
        ("stepped up", "safe", "by the evidence"),
        ("was started", "", "ann, by a command"),
    ]
    assert found.last is not None
    assert (found.last.subject, found.last.share) == ("b", "5%")


def test_the_overview_names_what_runs_and_what_was_decided_within_a_day() -> None:
    def of(name: str, hours: float, **stage: object) -> ConfiguredExperiment:
        since = NOW - timedelta(hours=hours)
        return ConfiguredExperiment(an_experiment(name=name, stage={"since": since, **stage}), 1)

    known = Experiments(
        (
            of("old run", 90),
            of("fresh", 2, status="rolledBack", share=0.0, reason="fewer successes", by_hand=False),
            of("stale", 25, status="stopped", share=0.0),
        ),
        (),
    )
    found = running_experiments(known, NOW)
    assert [(each.name, each.words) for each in found] == [
        ("fresh", "was rolled back: fewer successes"),
        ("old run", "runs with 1% of the sessions"),
    ]
    assert running_experiments(None, NOW) == ()


def test_without_evidence_nothing_is_met() -> None:
    experiment = an_experiment(stage={"step": 3, "share": 0.5})
    facts = facts_of(experiment, BETTER._replace(facts=NO_EVIDENCE))
    upward, _ = waiting_of(experiment, facts, at(10_000))
    assert [each.is_met for each in upward.conditions] == [True, True, False, False, False, False]
