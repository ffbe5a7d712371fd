"""Pause, resume and stop an experiment, and promote a treatment whatever the evidence says."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from centralcloud.administration.experiments import StageChange, change
from centralcloud.contracts.errors import quote
from centralcloud.contracts.experiment_changes import (
    ExperimentStateError,
    paused,
    promoted,
    resumed,
    status_words,
    stopped,
)
from centralcloud.contracts.fleet_configuration import CONTROL, Experiment
from centralcloud.dashboard.actions.action import Action, Done, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, read_version
from centralcloud.dashboard.actions.reach import at
from centralcloud.dashboard.pages.addresses import action_url
from centralcloud.dashboard.pages.experiment_words import scope_words, sessions_words, treatment_words
from centralcloud.dashboard.web.page import PageError
from centralcloud.experiments.results import read_results
from centralcloud.experiments.statements import facts_by_treatment, price_of, statement_of
from centralcloud.runtime.configuration.experiments import (
    ConfiguredExperiment,
    UnknownExperimentError,
    find_experiment,
)
from centralcloud.runtime.wording import counted
from centralcloud.store.operator_actions import Operator

_SUBJECT: Final = "experiment"
_TREATMENT: Final = "treatment"
_FOLLOWS: Final = "Every gateway applies it within seconds."


class _Read(NamedTuple):
    """An experiment, and the sentences on the success of its treatments that have outcomes."""

    found: ConfiguredExperiment
    known: Sequence[str]


class _StageAction(Action):
    """A change of the stage of an experiment."""

    page = "/experiments"
    subject: Sequence[str] = (_SUBJECT,)
    verb: str
    done: str

    def preview(self, scene: Scene, form: Form) -> Preview:
        """Return where the experiment stands, and where it would."""
        read = _read(scene, form)
        experiment, version = read.found
        after, obstacle = None, None
        try:
            after = self.change_of(form)(experiment, scene.now, None)
        except ExperimentStateError as error:
            obstacle = f"{str(error)[:1].upper()}{str(error)[1:]}."
        return Preview(
            question=self.question(experiment, form),
            now=(_stands(experiment, scene), *read.known),
            then=self.then(experiment, after) if after is not None else (),
            effects=(_FOLLOWS, f"It concerns {scope_words(experiment.scope)}."),
            seen=str(version),
            obstacle=obstacle,
            defaults={},
        )

    def perform(self, scene: Scene, form: Form, seen: str, operator: Operator) -> Done:
        """Change the stage."""
        changed = change(
            scene.operators,
            _wanted(form),
            self.change_of(form),
            operator,
            expected_version=read_version(seen),
        )
        undo = self.undo(changed.experiment)
        return Done(
            f"{self.done} {changed.experiment.name}, in version {changed.version:,} of the configuration.", *undo
        )

    def command(self, form: Form) -> str:
        """Return `centralcloud experiments`, with the same change."""
        arguments = [form.get(_SUBJECT, "")]
        if form.get(_TREATMENT):
            arguments.append(form[_TREATMENT])
        return command("experiments", self.verb, options=[why(form.get("reason", ""))], arguments=arguments)

    def question(self, experiment: Experiment, form: Form) -> str:  # noqa: ARG002 - for the one with a treatment
        """Return the heading."""
        return f"{self.title} {experiment.name}?"

    def change_of(self, form: Form) -> StageChange:
        """Return the change."""
        raise NotImplementedError

    def then(self, experiment: Experiment, after: Experiment) -> Sequence[str]:
        """Return what will stand."""
        raise NotImplementedError

    def undo(self, after: Experiment) -> tuple[str, str]:  # noqa: ARG002 - for those that can be undone
        """Return the words and the address of the action that takes it back; empty: there is none."""
        return "", ""


class PauseAction(_StageAction):
    """Pause an experiment until it is resumed."""

    name = "pause-experiment"
    title = "Pause"
    verb = "pause"
    done = "Paused"

    def change_of(self, _form: Form) -> StageChange:
        return paused

    def then(self, _experiment: Experiment, _after: Experiment) -> Sequence[str]:
        return (
            f"Every session goes to {CONTROL}, those that are open, too, until it is resumed by hand.",
            "The evidence so far is kept.",
        )

    def undo(self, after: Experiment) -> tuple[str, str]:
        return "Resume it", action_url("resume-experiment", experiment=after.id)


class ResumeAction(_StageAction):
    """Resume an experiment that is paused."""

    name = "resume-experiment"
    title = "Resume"
    verb = "resume"
    done = "Resumed"

    def change_of(self, _form: Form) -> StageChange:
        return resumed

    def then(self, experiment: Experiment, after: Experiment) -> Sequence[str]:
        where = "at its step" if experiment.stage.by_hand else "at its first step"
        return (
            f"It goes on {where}: {100 * after.stage.share:.3g}% of the sessions"
            f"{' for each treatment' if len(experiment.treatments) > 1 else ''}.",
            f"The sessions that are open stay with {CONTROL}.",
        )

    def undo(self, after: Experiment) -> tuple[str, str]:
        return "Pause it again", action_url("pause-experiment", experiment=after.id)


class StopAction(_StageAction):
    """End an experiment without a winner."""

    name = "stop-experiment"
    title = "Stop"
    verb = "stop"
    done = "Stopped"

    def change_of(self, _form: Form) -> StageChange:
        return stopped

    def then(self, _experiment: Experiment, _after: Experiment) -> Sequence[str]:
        return (
            f"Every session goes to {CONTROL}, and the experiment has no winner.",
            "It cannot begin again: another attempt is another experiment.",
        )


class PromoteAction(_StageAction):
    """Promote a treatment whatever the evidence says."""

    name = "promote-experiment"
    title = "Promote anyway"
    verb = "promote"
    done = "Promoted a treatment of"
    subject: Sequence[str] = (_SUBJECT, _TREATMENT)

    def question(self, experiment: Experiment, form: Form) -> str:
        return f"Promote {form.get(_TREATMENT) or experiment.treatments[0].name}, whatever the evidence says?"

    def change_of(self, form: Form) -> StageChange:
        return partial(_promoted, form.get(_TREATMENT) or None)

    def then(self, experiment: Experiment, after: Experiment) -> Sequence[str]:
        winner = after.stage.winner
        treatment = next(each for each in experiment.treatments if each.name == winner)
        if treatment.score_table:
            what = (
                f"The scores of {winner} become those of the fleet within a minute, under a version of their own; the rules "
                "learn on from them."
            )
        else:
            what = f"Every session of its scope goes to {winner}: {treatment_words(treatment)}."
        return (
            what,
            "It is recorded as done by hand: the evidence has not decided it. It is final at once, without the hold of a "
            "promotion by the evidence, until the experiment is removed.",
        )


def _promoted(winner: str | None, experiment: Experiment, now: datetime, reason: str | None) -> Experiment:
    return promoted(experiment, now, winner, reason)


def _read(scene: Scene, form: Form) -> _Read:
    wanted = _wanted(form)
    with scene.operators.transaction() as connection:
        try:
            found = find_experiment(connection, wanted)
        except UnknownExperimentError as error:
            command = "centralcloud experiments list --all"
            raise PageError(404, "No such experiment", f"{error}.", command=command) from None
        results = read_results(connection, found.experiment.id)
    known = facts_by_treatment(results)
    at_last = max((each.updated_at for each in results), default=scene.now)
    sentences = []
    for number, treatment in enumerate(found.experiment.treatments):
        facts = known.get((found.experiment.id, number), {})
        stated = statement_of(found.experiment, number, "success", facts, at_last)
        if stated is None or not stated.outcomes:
            sentences.append(f"Nothing is known about {treatment.name} yet.")
            continue
        price = price_of(found.experiment, facts)
        extra = (
            f" About {counted(round(price.extra_failures), 'request')} failed for it so far."
            if price and price.extra_failures >= 0.5
            else ""
        )
        sentences.append(f"Success: {stated.sentence}.{extra}")
    return _Read(found, sentences)


def _stands(experiment: Experiment, scene: Scene) -> str:
    stage = experiment.stage
    share = f" with {sessions_words(experiment)}" if stage.status == "running" else ""
    reason = f": {stage.reason}" if stage.reason else ""
    return f"{experiment.name} is {status_words(stage)}{share} since {at(stage.since, scene.zone)}{reason}."


def _wanted(form: Form) -> str:
    wanted = form.get(_SUBJECT, "")
    if not wanted or "\0" in wanted:
        raise PageError(
            404,
            "No such experiment",
            f"Found {quote(wanted)}, expected the id of an experiment.",
            command="centralcloud experiments list --all",
        )
    return wanted
