"""When a new id of a model counts: pure."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest

from centralcloud.learning.model_versions import (
    ALTERNATING_SWITCHES,
    FLEET,
    Followed,
    PastChange,
    Run,
    Stream,
    ToldChange,
    follow,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Model:
    """The streams of one model through several batches of outcomes; each outcome is (instance, id)."""

    def __init__(self, provider: str = "p") -> None:
        self.streams: dict[tuple[str, str, str], Stream] = {}
        self.changes: list[ToldChange] = []
        self.provider = provider
        self.batch = 0

    def receive(self, *outcomes: tuple[str, str], now: datetime = NOW) -> Followed:
        self.batch += 1
        runs = []
        for instance in sorted({FLEET, *(name for name, _ in outcomes)}):
            ids = [version for name, version in outcomes if instance in (FLEET, name)]
            islands = [(version, len(list(group))) for version, group in groupby(ids)]
            for number, (version, count) in enumerate(islands, 1):
                after = self.batch - (number == 1)
                if number in (1, len(islands)) or count >= (20 if instance else 50):
                    runs.append(Run("m", self.provider, instance, number, version, count, after, len(islands)))
        past = [PastChange("m", each.version_before, each.version_after, each.instance_id) for each in self.changes]
        found = follow(self.streams.values(), runs, past, now)
        self.streams |= {each[:3]: each for each in found.streams}
        self.changes += found.changes
        return found

    @property
    def told(self) -> list[tuple[str | None, str, str]]:
        return [(each.instance_id, each.version_before, each.version_after) for each in self.changes]


def test_a_run_counts_across_batches_and_begins_where_its_first_outcome_arrived() -> None:
    model = Model()
    model.receive(*[("i", "a")] * 30)
    for _ in range(3):
        assert model.receive(*[("i", "b")] * 6).changes == []
    assert model.receive(*[("i", "b")] * 2).changes == [ToldChange("m", "p", "i", "a", "b", 1)]
    assert model.receive(*[("i", "b")] * 100).changes == []


def test_one_outcome_with_the_old_id_begins_the_run_again() -> None:
    model = Model()
    model.receive(*[("i", "a")] * 30)
    model.receive(*[("i", "b")] * 19, ("i", "a"), *[("i", "b")] * 19)
    assert model.told == []
    model.receive(("i", "b"))
    assert model.told == [("i", "a", "b")]
    assert model.changes[0].after_slice == 2, "behind the outcome with the old id in its slice"


def test_the_first_id_of_a_model_and_of_an_instance_is_not_a_change() -> None:
    model = Model()
    model.receive(*[("i", "a")] * 60)
    model.receive(*[("j", "b"), ("i", "a")] * 40)
    assert model.told == [], "another region answers with another id"


def test_fifty_of_the_fleet_count_where_no_instance_has_twenty() -> None:
    model = Model()
    model.receive(*[(f"i-{number}", "a") for number in range(60)])
    model.receive(*[(f"i-{number}", "b") for number in range(49)])
    assert model.told == []
    model.receive(("i-50", "b"))
    assert model.told == [(None, "a", "b")]


@pytest.mark.parametrize("size", [1, 3, 20, 60])
def test_ids_that_alternate_have_a_model_learned_anew_once_at_most_whatever_the_batches(size: int) -> None:
    outcomes = [("i", version) for version in "ababab" for _ in range(25)]
    model = Model()
    for start in range(0, len(outcomes), size):
        model.receive(*outcomes[start : start + size])
    assert model.told == [("i", "a", "b")]
    assert model.streams["m", "p", "i"].switches >= ALTERNATING_SWITCHES


@pytest.mark.parametrize("size", [1, 7, 100])
def test_ids_that_alternate_within_what_counts_are_one_version(size: int) -> None:
    outcomes = [("i", version) for version in "ab" * 100 for _ in range(9)]
    model = Model()
    for start in range(0, len(outcomes), size):
        model.receive(*outcomes[start : start + size])
    assert model.told == []
    assert model.streams["m", "p", "i"].switches == 199


def test_switches_that_are_far_apart_are_not_alternation() -> None:
    model = Model()
    model.receive(*[("i", "a")] * 60)
    for day in range(5):
        model.receive(("i", "b"), now=NOW + timedelta(days=2 * day))
        model.receive(*[("i", "a")] * 60, now=NOW + timedelta(days=2 * day, hours=1))
    assert model.streams["m", "p", "i"].switches == 2


def test_a_region_that_follows_later_changes_nothing_more() -> None:
    model = Model()
    for done in range(4):
        model.receive(*[(f"i-{number}", "b" if number < done else "a") for _ in range(30) for number in range(3)])
    assert model.told == [("i-0", "a", "b")]


def test_an_instance_that_makes_up_ids_is_heard_once_until_another_one_confirms_it() -> None:
    model = Model()
    model.receive(*[(name, "a") for _ in range(30) for name in ("i", "liar")])
    for number in range(5):
        model.receive(*[("i", "a"), ("liar", f"lie-{number}")] * 30)
    assert model.told == [("liar", "a", "lie-0")]
    model.receive(*[("i", "c")] * 30)
    assert model.told[1:] == [("i", "a", "c")]


def test_what_a_batch_tells_is_known_to_the_rest_of_it() -> None:
    """The same as when each run is a batch: the first id comes back, and a version that had counted is alternation."""
    model = Model()
    model.receive(*[("i", "a")] * 60, *[("i", "b")] * 60, *[("i", "a")] * 60)
    assert [(before, after) for _, before, after in model.told] == [("a", "b")]
    assert all(each.switches >= ALTERNATING_SWITCHES for each in model.streams.values())


@pytest.mark.parametrize("size", [30, 90, 600])
def test_an_instance_that_is_alone_and_makes_up_ids_is_heard_once(size: int) -> None:
    outcomes = [("i", f"made-up-{number}") for number in range(20) for _ in range(30)]
    model = Model()
    for start in range(0, len(outcomes), size):
        model.receive(*outcomes[start : start + size])
    assert model.told == [("i", "made-up-0", "made-up-1")]
    model.receive(*[("i", "true")] * 50)
    model.receive(*[("i", "next")] * 50)
    assert model.told[1:] == [(None, "true", "next")], "50 in a row are believed"


def test_an_instance_that_is_alone_tells_one_version_after_the_other() -> None:
    model = Model()
    for version in "abcd":
        for _ in range(4):
            model.receive(*[("i", version)] * 25)
    assert [(before, after) for _, before, after in model.told] == [("a", "b"), ("b", "c"), ("c", "d")]
