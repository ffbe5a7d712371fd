"""Selection: the probabilities of the candidates follow from their scores, and sampling follows the probabilities."""

import random
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralcloud.contracts import Estimate
from centralcloud.contracts.model_choice.selection import Candidate, Selection, SelectionMethod


def estimate(mean: float, n_eff: float, probe_share: float = 0.0) -> Estimate:
    return Estimate(mean=mean, n_eff=n_eff, probe_share=probe_share)


def learned(model: str, mean: float, n_eff: float = 1000, *, penalty: float = 0.0, probe_share: float = 0.0):
    score = round(5 * max(0.0, mean - penalty), 3)
    return Candidate(model=model, score=score, value=score, estimate=estimate(mean, n_eff, probe_share))


def plain(model: str, score: float, **fields) -> Candidate:
    return Candidate(model=model, score=score, value=score, **fields)


def wins(*candidates: Candidate, method: SelectionMethod = "thompson", scale: float = 1.0) -> list[float]:
    return [chance.win for chance in Selection(candidates, method, scale=scale).chances]


CANDIDATES = st.lists(
    st.builds(
        lambda model, mean, n_eff, score, bonus, probe_share, known: Candidate(
            model=model,
            score=score,
            value=score + bonus,
            learned=known != "configured",
            estimate=estimate(mean, n_eff, probe_share) if known == "estimate" else Estimate(probe_share=probe_share),
        ),
        st.sampled_from("abcd"),
        st.floats(0, 1),
        st.floats(0, 7).map(lambda x: 10**x),
        st.floats(0, 5),
        st.sampled_from([0.0, 0.3]),
        st.sampled_from([0.0, 0.003, 0.2, 1.0]),
        st.sampled_from(["estimate", "score", "configured"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(CANDIDATES, st.sampled_from(get_args(SelectionMethod)), st.sampled_from([0.0, 0.05, 1.0]))
def test_chances_add_up_to_one(candidates: list[Candidate], method: SelectionMethod, exploration: float) -> None:
    selection = Selection(candidates, method, exploration=exploration)
    assert sum(chance.propensity for chance in selection.chances) == pytest.approx(1, abs=1e-12)
    assert sum(chance.win for chance in selection.chances) == pytest.approx(1, abs=1e-12)
    assert sum(chance.probe for chance in selection.chances) <= 0.5 + 1e-12
    index, _ = selection.sample(random.Random(1))
    assert selection.chances[index].propensity > 0


@pytest.mark.parametrize("method", get_args(SelectionMethod))
@pytest.mark.parametrize("exploration", [0.0, 0.1])
def test_the_propensity_is_the_frequency(method: SelectionMethod, exploration: float) -> None:
    candidates = [
        learned("a", 0.9, 200),
        learned("b", 0.88, 100, probe_share=0.02),
        learned("c", 0.5, 400, probe_share=0.1),
        plain("new", 3.0, learned=False),
        plain("hand", 4.45),
    ]
    selection = Selection(candidates, method, exploration=exploration)
    rng = random.Random(5)
    draws = [selection.sample(rng) for _ in range(100_000)]
    taken, ways = Counter(index for index, _ in draws), Counter(draws)
    for index, chance in enumerate(selection.chances):
        assert taken[index] / len(draws) == pytest.approx(chance.propensity, abs=0.006)
        assert ways[index, "probe"] / len(draws) == pytest.approx((1 - exploration) * chance.probe, abs=0.006)
        assert ways[index, "exploration"] / len(draws) == pytest.approx(exploration / 5, abs=0.006)


def test_a_seed_draws_the_same_again() -> None:
    selection = Selection([learned("a", 0.8, 5), learned("b", 0.8, 5, probe_share=0.1)], "thompson", exploration=0.1)

    def draws(seed: int) -> list[tuple[int, str]]:
        rng = random.Random(seed)
        return [selection.sample(rng) for _ in range(100)]

    assert draws(3) == draws(3) != draws(4)


def test_greedy_takes_the_greatest_value_and_probes() -> None:
    selection = Selection([learned("a", 0.9, 3), learned("b", 0.89, 3, probe_share=0.01)], "greedy")
    assert [(chance.win, chance.propensity) for chance in selection.chances] == [(1, 0.99), (0, 0.01)]


def test_greedy_shares_among_equals() -> None:
    assert wins(plain("a", 4.0), plain("b", 4.0), plain("c", 3.0), method="greedy") == [0.5, 0.5, 0]


def test_probes_take_at_most_half_of_the_tasks() -> None:
    selection = Selection(
        [plain("a", 4.0), *(plain(name, 1.0, estimate=Estimate(probe_share=0.5)) for name in "bcd")], "greedy"
    )
    assert [chance.propensity for chance in selection.chances] == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_a_lone_candidate_is_not_a_probe() -> None:
    assert Selection([learned("a", 0.5, probe_share=0.2)], "thompson").outcomes == ((0, "best"),)


def test_the_penalty_counts_in_the_draw() -> None:
    assert wins(learned("a", 0.9, 10_000), learned("b", 0.95, 10_000, penalty=0.1)) == [1, 0]
    assert wins(learned("a", 0.9, 10_000), learned("b", 0.95, 10_000, penalty=0.05))[0] == pytest.approx(0.5, abs=0.01)


def test_a_score_that_was_clipped_at_zero_has_the_whole_mean_as_penalty() -> None:
    clipped = learned("a", 0.06, 100, penalty=0.1)
    assert (clipped.score, clipped.penalty) == (0.0, 0.06)
    # Its draws lie around 0, so only half of them exceed a fixed score of 0.
    assert wins(clipped, plain("b", 0.0))[0] == pytest.approx(0.45, abs=0.03)


def test_a_score_above_its_mean_has_no_penalty() -> None:
    assert Candidate(model="a", score=5.0, value=5.0, estimate=estimate(0.9, 10)).penalty == 0


def test_a_learned_score_without_an_estimate_is_a_fixed_value() -> None:
    assert wins(plain("hand", 4.9), learned("a", 0.9, 10_000)) == [1, 0]
    uniform = learned("a", 0.5, 2)
    assert wins(plain("hand", 3.5), uniform) == pytest.approx([0.7, 0.3], abs=0.001)


@pytest.mark.parametrize(("score", "mean"), [(0.0, 0.1), (2.5, 0.5), (4.0, 0.8), (5.0, 0.9)])
def test_a_configured_score_is_worth_two_outcomes(score: float, mean: float) -> None:
    known = plain("known", 3.0)
    newcomer = plain("new", score, learned=False)
    if score == 2.5:  # no information: uniform
        assert wins(known, newcomer) == pytest.approx([0.6, 0.4], abs=0.001)
    assert wins(known, newcomer) == pytest.approx(wins(known, learned("new", mean, 2)), abs=0.001)


def test_a_preference_is_a_bonus_beside_the_scaled_score() -> None:
    """0.6 * score + 0.4 for a free model: as good as 0.4 / 0.6 more in the score, whatever its posterior."""
    paid = Candidate(model="paid", score=4.5, value=0.6 * 4.5, estimate=estimate(0.9, 400))
    free = Candidate(model="free", score=4.0, value=0.6 * 4.0 + 0.4, estimate=estimate(0.8, 400))
    as_good = learned("free", 0.8, 400)
    assert wins(paid, free, scale=0.6)[1] > 0.8 > 0.001 > wins(learned("paid", 0.9, 400), as_good)[1]
    level = Candidate(model="level", score=4.0, value=0.6 * 4.5, estimate=estimate(0.8, 400))
    spread = wins(learned("paid", 0.9, 400), Candidate(model="x", score=4.0, value=4.5, estimate=estimate(0.8, 400)))
    assert wins(paid, level, scale=0.6) == pytest.approx(spread, abs=1e-9)


def test_entries_of_one_model_share_one_draw_and_one_probe_share() -> None:
    twice = [learned("a", 0.8, 20, probe_share=0.1), learned("b", 0.8, 20), learned("a", 0.8, 20, probe_share=0.1)]
    selection = Selection(twice, "thompson")
    assert [chance.win for chance in selection.chances] == pytest.approx([0.25, 0.5, 0.25], abs=0.001)
    assert [chance.probe for chance in selection.chances] == pytest.approx([0.05, 0, 0.05])


def test_the_draw_of_a_model_counts_for_its_entry_with_the_better_value() -> None:
    def entry(value: float) -> Candidate:
        return Candidate(model="a", score=4.0, value=value, estimate=estimate(0.8, 20))

    assert wins(entry(2.4), entry(2.8), scale=0.6) == [0, 1]
    assert wins(entry(2.8), entry(2.4), scale=0.6) == [1, 0]
