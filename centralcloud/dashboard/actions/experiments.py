"""Pause, resume and stop an experiment, and promote a treatment whatever the evidence says."""

from collections.abc import Sequence
from typing import Final

from centralcloud.administration.experiments import StageChange, change
from centralcloud.contracts.experiment_changes import (
    STATUS_WORDS,
    ExperimentStateError,
    paused,
    promoted,
    resumed,
    stopped,
)
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.actions.action import Action, Done, Preview, Scene
from centralcloud.dashboard.actions.commands import command, why
from centralcloud.dashboard.actions.forms import Form, read_version
from centralcloud.dashboard.actions.reach import at
from centralcloud.dashboard.pages.addresses import action_url, experiment_url
from centralcloud.dashboard.web.page import PageError
from centralcloud.experiments.results import read_results
from centralcloud.runtime.configuration.experiments import (
    ConfiguredExperiment,
    UnknownExperimentError,
    find_experiment,
)
from centralcloud.runtime.wording import percent
from centralcloud.store.operator_actions import Operator

_SUBJECT: Final = "experiment"
_TREATMENT: Final = "treatment"
