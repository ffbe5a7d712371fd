"""The experiments of the Overview: those that run, are paused, or were decided lately. Pure."""

from datetime import datetime
from typing import NamedTuple

from centralcloud.dashboard.pages.addresses import experiment_url
from centralcloud.dashboard.pages.experiment_words import stage_words
from centralcloud.dashboard.sources.experiments import Experiments
from centralcloud.dashboard.sources.money import DAY


class RunningExperiment(NamedTuple):
    """An experiment in the list of things to look at. `words`: "runs with 5% of the sessions"; `at`: since when."""

    name: str
    url: str
    words: str
    at: datetime


def running_experiments(known: Experiments | None, now: datetime) -> tuple[RunningExperiment, ...]:
    """Return the experiments that run, are paused, or were decided within a day, the newest change first."""
    experiments = [each.experiment for each in known.configured] if known else []
    found = [each for each in experiments if each.is_open or now - each.stage.since < DAY]
    found.sort(key=lambda each: (each.stage.since, each.id), reverse=True)
    return tuple(
        RunningExperiment(each.name, experiment_url(each.id), stage_words(each), each.stage.since) for each in found
    )
