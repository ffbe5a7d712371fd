"""The section of a report on experiments, in words. Pure."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from centralcloud.dashboard.report.experiments import ReportedExperiment, ReportedTreatment
from centralcloud.dashboard.report.section import Section, moment
from centralcloud.runtime.wording import counted

_MOST: Final = 40


def experiment_section(experiments: tuple[ReportedExperiment, ...], zone: tzinfo) -> Section | None:
    """Return the section, a sentence for each experiment; None without any."""
    if not experiments:
        return None
    sentences = [_sentence(each, zone) for each in experiments[:_MOST]]
    notes = ["The intervals are those of now, and hold however often they are looked at."]
    if len(experiments) > _MOST:
        notes.insert(0, f"{counted(len(experiments) - _MOST, 'more experiment')}: --json has them.")
    return Section("experiments", "Did experiments find a difference?", sentences, None, notes)


def _sentence(experiment: ReportedExperiment, zone: tzinfo) -> str:
    said = f"{experiment.name} ({experiment.kind}) {experiment.stands}, since {moment(experiment.since, zone)}"
    known = "; ".join(part for each in experiment.treatments for part in _parts(each))
    return f"{said}: {known}." if known else f"{said}."


def _parts(treatment: ReportedTreatment) -> Iterator[str]:
    success = treatment.success
    yield success if success.startswith(f"{treatment.name} ") else f"{treatment.name}: {success}"
    extra = treatment.extra_failures
    if extra:
        requests = counted(abs(extra), "request")
        yield f"about {requests} failed for it" if extra > 0 else f"about {requests} fewer failed than at control"
