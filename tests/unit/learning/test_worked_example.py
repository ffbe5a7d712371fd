"""The worked example of docs/explanation/learning.md: the rule computes every number in it from its table of slices."""

import math
import re
from datetime import UTC, datetime

import numpy as np
from support.adaptive_by_hand import Slice, kl, of, threshold
from support.repository import REPOSITORY

from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.rule import RuleResult, RuleState, Score
from centralcloud.learning.rules import AdaptiveRule
from centralcloud.learning.rules.change_detection import Split, find_changes

_PAGE = (REPOSITORY / "docs/explanation/learning.md").read_text()
_SECTION = _PAGE.split("## A worked example")[1].split("\n## ")[0].replace(" %", "%")
_MODELS = ("ace", "bold")
#: Response time of every answer, as a share of the reference of 10 s.
_LATENCY = {"ace": 0.2, "bold": 0.1}


def rows(header: str) -> list[list[str]]:
    """Return the rows of the table that begins with `header`."""
    table = _SECTION[_SECTION.index(f"| {header} |") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def run() -> dict[int, tuple[RuleResult, Split]]:
    """Return the results after every slice, and the best splits behind them."""
    evidence, rule = Evidence(), AdaptiveRule()
    states: dict[Pair, RuleState] = {}
    results = {}
    for slice_no, opened, *counts in rows("slice"):
        hour, minute = map(int, opened.split(":"))
        sums: Slice = {
            (model, "complex"): of(int(counts[2 * i]), int(counts[2 * i + 1]), latency=_LATENCY[model])
            for i, model in enumerate(_MODELS)
        }
        evidence.append(int(slice_no), datetime(2026, 11, 20, hour, minute, tzinfo=UTC), sums)
        starts = [evidence.position_after(states.get(pair, RuleState()).evidence_from) for pair in evidence.pairs]
        split = find_changes(evidence, np.array(starts, dtype=np.int64), 1.0)
        result = rule.evaluate(evidence, states)
        results[int(slice_no)] = result, split
        states = result.states
    return results


def score(result: RuleResult, model: str) -> Score:
    return next(score for score in result.scores if score.model == model)


def test_the_table_of_runs_is_what_the_rule_computes() -> None:
    results = run()
    documented = rows("after slice")
    assert len(documented) >= 7
    for slice_no, model, *numbers in documented:
        result, split = results[int(slice_no)]
        found, column = score(result, model), _MODELS.index(model)
        computed = [
            f"{split.statistic[column] + 0.0:.2f}".replace("-0.00", "0.00"),
            f"{split.threshold[column]:.2f}",
            f"{found.estimate.mean:.3f}",
            f"{found.estimate.n_eff:.0f}",
            f"{found.score}",
            "{:.3f} to {:.3f}".format(*found.estimate.interval),
            f"{found.estimate.probe_share:.1%}",
        ]
        assert numbers == computed, f"slice {slice_no}, {model}"


def test_the_alarms_are_those_of_the_text() -> None:
    alarms = {number: [alarm.model for alarm in result.alarms] for number, (result, _) in run().items()}
    assert {number: models for number, models in alarms.items() if models} == {6: ["ace"], 9: ["ace"]}


def test_the_sentences_are_the_reasons_of_the_scores() -> None:
    reasons = {score.reason for result, _ in run().values() for score in result.scores}
    sentences = [block.strip() for block in re.findall(r"```text\n(.*?)```", _SECTION, re.DOTALL)]
    assert len(sentences) == 3
    assert reasons.issuperset(sentences)


def test_the_calculations_in_the_text_are_right() -> None:
    text = " ".join(_SECTION.split())
    parts = 500 * kl(0.95, 535 / 600), 100 * kl(0.60, 535 / 600)
    ace, bold = (score(run()[6][0], model).estimate.mean for model in _MODELS)
    assert ace is not None
    assert bold is not None
    gap = (bold - 0.010) - (ace - 0.020)
    ace_8, bold_8 = (score(run()[8][0], model).estimate.mean or 0 for model in _MODELS)
    goal, window_mean = bold_8 - 0.010 + 0.020, 77 / 118
    was = (60 + 20 * window_mean) / 120
    prior, worth = run()[5][0].states["ace", "complex"].payload["parts"][4:]
    prior_6 = run()[6][0].states["ace", "complex"].payload["parts"][4]
    mean = (475 + worth * prior) / (500 + worth)
    ratio, gap_8 = (goal / was) ** 16, goal - ace_8
    for calculation in (
        f"ln(161 / 41) = {math.log(161 / 41):.2f} with the weight 200 / 204",
        f"(475 + {worth:.2f} * {prior:.3f}) / (500 + {worth:.2f}) = {mean:.3f}, score 5 * ({mean:.3f} - 0.020)",
        f"(60 + 2 * {prior_6:.3f}) / 102",
        f"= {parts[0]:.2f} + {parts[1]:.2f} = {sum(parts):.2f}",
        f"ln(4 * 600^1.5 / 0.1) = {threshold(600):.2f}",
        f"`ace` is {gap:.3f} behind",
        f"0.002 / {gap:.3f} + 0.01 / {gap:.3f} = {0.012 / gap:.1%}",
        f"at the rate {goal - 0.020:.3f} + 0.020 = {goal:.3f}",
        f"(76 + 1) / (116 + 2) = {window_mean:.3f}, is (60 + 20 * {window_mean:.3f}) / (100 + 20) = {was:.3f}",
        f"({goal:.3f} / {was:.3f})^16 = {ratio:.0f} times",
        f"+ 0.01 / ({gap_8:.3f} / (1 + {ratio:.0f} / 50)) = {0.01 + 0.01 / gap_8 * (1 + ratio / 50):.1%}",
    ):
        assert calculation in text, calculation
