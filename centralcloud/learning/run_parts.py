"""The parts of a run that are stored and published in one transaction each, so that a large run fits its time limit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from centralcloud.learning.publication import Publication
from centralcloud.learning.rule import Score
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
    part_of = {pair: number // PAIRS_IN_A_PART for number, pair in enumerate(sorted(writes))}
    publications: dict[int, list[Publication]] = defaultdict(list)
    for publication in selection.publications:
        publications[part_of[publication.current.pair]].append(publication)
    scores: dict[str, dict[int, list[Score]]] = {rule: defaultdict(list) for rule in evaluations}
    for rule, evaluation in evaluations.items():
        for score in evaluation.result.scores:
            scores[rule][part_of.get(score.pair, 0)].append(score)
    return [
        RunPart(
            {
                rule: Evaluation(replace(each.result, scores=scores[rule][number]), each.rejections)
                for rule, each in evaluations.items()
            },
            Selection(publications[number], selection.withheld),
        )
        for number in range(max(part_of.values()) + 1)
    ]
