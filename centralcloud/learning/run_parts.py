"""The parts of a run that are stored and published in one transaction each, so that a large run fits its time limit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule_scores import changed_rule_scores
from centralcloud.learning.run_input import Evaluation, RunInput
from centralcloud.learning.selection import Selection

#: Pairs whose scores one transaction stores and publishes: about a second, of the 15 that a transaction may take.
PAIRS_IN_A_PART: Final = 1000


class RunPart(NamedTuple):
    """The evaluations and the publications of some pairs; those of one pair are never in two parts."""

    evaluations: dict[str, Evaluation]
    selection: Selection


def split_run(
    run_input: RunInput,
    evaluations: Mapping[str, Evaluation],
    withheld: Mapping[str, Sequence[str]],
    selection: Selection,
) -> list[RunPart]:
    """Split a run into parts, at least one. The first part also has the pairs for which there is nothing to write.

    A pair's score, its state and its publication are written together. So each part is consistent alone: after an
    interruption the next run evaluates the same evidence, finds the pairs of the written parts unchanged, and writes the
    rest.
    """
    writes = {each.current.pair for each in selection.publications}
    for rule, evaluation in evaluations.items():
        if not withheld[rule]:
            before = run_input.by_rule[rule]
            writes |= changed_rule_scores(evaluation.result, before.evidence.excluded, before.stored).keys()
    if len(writes) <= PAIRS_IN_A_PART:
        return [RunPart(dict(evaluations), selection)]
    ordered = sorted(writes)
    part_of = {pair: number // PAIRS_IN_A_PART for number, pair in enumerate(ordered)}
    number_of_parts = part_of[ordered[-1]] + 1
    return [_part(number, part_of, evaluations, selection) for number in range(number_of_parts)]


def _part(
    number: int, part_of: Mapping[Pair, int], evaluations: Mapping[str, Evaluation], selection: Selection
) -> RunPart:
    def is_in_it(pair: Pair) -> bool:
        return part_of.get(pair, 0) == number

    return RunPart(
        {
            rule: Evaluation(
                replace(each.result, scores=[score for score in each.result.scores if is_in_it(score.pair)]),
                each.rejections,
            )
            for rule, each in evaluations.items()
        },
        Selection([each for each in selection.publications if is_in_it(each.current.pair)], selection.withheld),
    )
