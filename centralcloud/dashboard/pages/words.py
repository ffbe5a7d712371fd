"""Words for what has a name in code. Pure."""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

State = Literal["good", "look", "bad", "note", "neutral"]


class Guide(NamedTuple):
    """A page of the documentation that helps. `path`: of its file in the repository, with the section after ``#``."""

    path: str
    title: str


class _Finding(NamedTuple):
    title: str
    guide: Guide


_LEARNING: Final = "docs/explanation/learning.md"
_RELIABILITY: Final = "docs/explanation/reliability.md"
_HOW_TO: Final = "docs/how-to"
_MISSING: Final = Guide(
    "docs/explanation/complexity-and-success.md#outcomes-that-are-missing", "Outcomes that are missing"
)
_VALUES: Final = Guide(f"{_RELIABILITY}#values-that-instances-send", "Values that instances send")
_CLOCK: Final = Guide(f"{_RELIABILITY}#the-servers-clock", "The server's clock")
_EXPERIMENTS: Final = f"{_HOW_TO}/watch-experiments.md"
_EXPERIMENT_ENDED: Final = Guide(f"{_EXPERIMENTS}#an-experiment-has-ended", "An experiment has ended")
_ARRIVAL: Final = Guide(
    f"{_EXPERIMENTS}#arms-whose-outcomes-do-not-arrive-alike", "Arms whose outcomes do not arrive alike"
)
_TRAFFIC: Final = Guide("docs/reference/tables.md#the-traffic-of-a-finding", "The traffic of a finding")

#: All kinds of findings: those of docs/reference/tables.md.
_FINDINGS: Final[dict[str, _Finding]] = {
    "low_success_rate": _Finding("Low success rate", _TRAFFIC),
    "slow": _Finding("Slow", _TRAFFIC),
    "newcomer": _Finding("New model", Guide(f"{_LEARNING}#the-adaptive-rule", "The adaptive rule")),
    "no_outcomes": _Finding("No outcomes reported", _MISSING),
    "unresolved": _Finding("Outcomes missing", _MISSING),
    "provider_surge": _Finding(
        "Provider fails", Guide(f"{_HOW_TO}/operate-the-gateway.md#health-of-models", "Health of models")
    ),
    "too_fast": _Finding("Faster than possible", _VALUES),
    "similar_names": _Finding("Two spellings of a name", _VALUES),
    "missing_cost": _Finding("Cost not reported", _VALUES),
    "unknown_error_kind": _Finding("Unknown kinds of failure", _VALUES),
    "values_ignored": _Finding("Values ignored", _VALUES),
    "repeated_decision_ids": _Finding(
        "Decision ids used twice", Guide(f"{_HOW_TO}/publish-from-any-language.md#decision-ids", "Decision ids")
    ),
    "unaccounted_messages": _Finding(
        "Messages are nowhere", Guide("docs/explanation/exactly-once.md#ids-that-are-nowhere", "Ids that are nowhere")
    ),
    "two_histories": _Finding(
        "Two databases answer",
        Guide(f"{_HOW_TO}/copy-a-database.md#an-old-primary-that-comes-back", "An old primary that comes back"),
    ),
    "change_alarm": _Finding("Success rate changed", Guide(f"{_LEARNING}#the-adaptive-rule", "The adaptive rule")),
    "model_changed": _Finding("Model changed", Guide(f"{_LEARNING}#a-change-that-was-told", "A change that was told")),
    "alternating_versions": _Finding(
        "Several versions answer", Guide(f"{_LEARNING}#a-change-that-was-told", "A change that was told")
    ),
    "quarantined_instance": _Finding(
        "Instance not believed", Guide(f"{_LEARNING}#step-0-quarantine", "Step 0: quarantine")
    ),
    "publication_withheld": _Finding(
        "Scores withheld", Guide(f"{_LEARNING}#scores-that-are-not-published", "Scores that are not published")
    ),
    "new_names_refused": _Finding(
        "New names refused", Guide("docs/reference/tables.md#names-beyond-the-limit", "Names beyond the limit")
    ),
    "budget_alert": _Finding(
        "Budget nearly spent", Guide(f"{_HOW_TO}/give-a-team-a-budget.md", "Give a team a budget")
    ),
    "experiment_sample_ratio": _Finding(
        "Experiment split wrongly",
        Guide(f"{_EXPERIMENTS}#sessions-are-not-split-as-recorded", "Sessions are not split as recorded"),
    ),
    "experiment_rolled_back": _Finding("Experiment rolled back", _EXPERIMENT_ENDED),
    "experiment_promoted": _Finding("Treatment promoted", _EXPERIMENT_ENDED),
    "experiment_undecided": _Finding("Experiment undecided", _EXPERIMENT_ENDED),
    "experiment_folding_behind": _Finding(
        "Experiment does not count", Guide(f"{_EXPERIMENTS}#outcomes-do-not-count", "Outcomes do not count")
    ),
    "experiment_outcomes_late": _Finding("Experiment's outcomes late", _ARRIVAL),
    "experiment_arrival_differs": _Finding("Arms report differently", _ARRIVAL),
    "experiment_mismatched": _Finding(
        "Events in a wrong arm",
        Guide(f"{_EXPERIMENTS}#events-in-an-arm-that-is-not-theirs", "Events in an arm that is not theirs"),
    ),
    "task_degraded": _Finding(
        "Background task fails", Guide(f"{_RELIABILITY}#a-task-that-fails-alone", "A task that fails alone")
    ),
    "server_clock_jumped": _Finding("The server's clock jumped", _CLOCK),
    "server_clock_behind": _Finding("The server's clock is behind", _CLOCK),
    "instance_clock_behind": _Finding("An instance's clock is behind", _VALUES),
}
FINDING_KINDS: Final = tuple(_FINDINGS)

#: A finding that concerns less of the traffic is small: mostly learning avoids it already.
SMALL_SHARE: Final = 0.01
#: Small findings of one kind that concern so much of the traffic together need a look: a fleet of many models has no others.
TOGETHER_SHARE: Final = 0.05
#: From here on a finding is not a thing to look at tomorrow.
LARGE_SHARE: Final = 0.25

#: Kinds of changes of a score, as sentences of the past.
_CHANGES: Final = {
    "alarm": "moved after an alarm",
    "changed": "is learned anew",
    "new": "was learned",
    "latency": "moved by its response times",
    "cost": "moved by its cost",
    "quarantine": "moved without an instance",
    "pin": "was pinned",
    "rollback": "was rolled back",
    "experiment": "was promoted by an experiment",
    "renamed": "was taken over by a renaming",
    "reinstated": "was reinstated",
}

_LEASES: Final = {
    "experiments": "judges experiments",
    "findings": "looks for findings",
    "observation": "reads the numbers of the fleet",
    "fleet-minutes": "writes a row of the fleet each minute",
    "learner": "learns scores",
    "maintenance": "maintains the tables",
}

_VIA: Final = {
    "cli": "by a command",
    "web": "on a page",
    "api": "through a gateway",
    "sql": "in SQL",
    "migration": "by a migration",
    "daemon": "by the daemon itself",
}

_KINDS: Final = {
    "step": "Step of the threshold rule",
    "steady": "More outcomes",
    "new": "Few outcomes yet",
    "alarm": "Sudden change",
    "changed": "Other version",
    "latency": "Response time",
    "cost": "Cost",
    "quarantine": "Instances left out",
    "pin": "Pinned",
    "rollback": "Rolled back",
    "experiment": "Promoted by an experiment",
    "renamed": "Renamed",
    "reinstated": "Reinstated",
    "retired": "Retired",
}
#: The kinds of published changes, in the order of a list to choose from.
CHANGE_KINDS: Final = tuple(_KINDS)

_ERRORS: Final = {"": "No kind reported"}

#: The part of a message that says how little chance explains it: details, and `centralcloud findings`, have it.
_STATISTICS: Final = re.compile(r" \((?:G |log-likelihood )[^()]*\)")


def finding_title(kind: str) -> str:
    """Return the title of a kind of finding: "Low success rate"."""
    known = _FINDINGS.get(kind)
    return known.title if known else spoken(kind)


def sentence(message: str, names: Iterable[str] = (), *, statistics: bool = False) -> str:
    """Return the message of a finding as a sentence of a page: with a capital letter and a full stop.

    Args:
        names: of models, instances and others that the message may begin with: a name keeps its letters.
        statistics: whether it says how little chance explains it.
    """
    text = message.strip() if statistics else _STATISTICS.sub("", message).strip()
    if not any(name and text.startswith(name) for name in names):
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def finding_guide(kind: str) -> Guide | None:
    """Return the page of the documentation that helps with a kind of finding."""
    known = _FINDINGS.get(kind)
    return known.guide if known else None


def finding_state(kind: str, share: float | None) -> State:
    """Return how urgent an open finding is, by the share of the traffic that it concerns."""
    if kind == "newcomer":
        return "note"  # news, and not a problem
    if share is not None and share < SMALL_SHARE:
        return "neutral"
    return "bad" if share is not None and share >= LARGE_SHARE else "look"


def score_change(kind: str | None) -> str:
    """Return what a change of a score was, as the rest of a sentence: "was pinned"."""
    return _CHANGES.get(kind or "", "moved")


def lease_work(name: str) -> str:
    """Return the work of a lease, as the rest of a sentence about its holder."""
    return _LEASES.get(name, spoken(name).lower())


def via(code: str) -> str:
    """Return how an operator has acted: "by a command"."""
    return _VIA.get(code, code)


def spoken(name: str) -> str:
    """Return a name of code as words: ``no_outcomes`` as "No outcomes"."""
    words = name.replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def pair_words(subject: str) -> str:
    """Return a subject ``model/complexity`` as "model for complex tasks"; another one as it is."""
    model, separator, complexity = subject.rpartition("/")
    return f"{model} for {complexity} tasks" if separator and complexity in ("simple", "medium", "complex") else subject


def change_title(kind: str) -> str:
    """Return why a score was published: "Rolled back"."""
    return _KINDS.get(kind, spoken(kind))


def error_title(kind: str) -> str:
    """Return the title of a kind of error: "Rate limit"."""
    return _ERRORS.get(kind, spoken(kind))
