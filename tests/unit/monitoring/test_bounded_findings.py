"""One kind of finding fills neither the table nor the screen."""

import pytest

from centralcloud.ingest.name_limits import NameLimits
from centralcloud.monitoring.name_findings import RefusedNames, detect_refused_names
from centralcloud.store.findings import MOST_OF_A_KIND, Finding, limit_findings


def newcomers(count: int) -> list[Finding]:
    return [Finding("newcomer", f"model-{i:05}", "", {"model": f"model-{i:05}", "outcomes": i}) for i in range(count)]


def test_the_findings_with_the_most_traffic_are_kept_and_the_others_counted() -> None:
    slow = Finding("slow", "a/simple", "", {"model": "a"})
    *kept, other, last = limit_findings([*newcomers(30_000), slow])
    assert last == slow, "another kind is not affected"
    assert [each.details["outcomes"] for each in kept] == list(range(29_999, 29_999 - MOST_OF_A_KIND, -1))
    assert (other.kind, other.subject, other.details) == ("newcomer", "(other)", {"number": 30_000 - MOST_OF_A_KIND})
    assert other.message.startswith("29,950 more findings of this kind are not listed")


def test_few_findings_stay_as_they_are() -> None:
    assert list(limit_findings(newcomers(MOST_OF_A_KIND))) == newcomers(MOST_OF_A_KIND)


def test_each_instance_beyond_the_limit_is_one_finding() -> None:
    (finding,) = detect_refused_names([RefusedNames("bad", 29_800, 30_000, "x-1", True, False)], NameLimits())
    assert (finding.kind, finding.subject) == ("new_names_refused", "bad")
    assert "30,000 events of the last 24 hours, with names such as 'x-1'" in finding.message
    assert finding.details["limits"] == ["names.new_per_instance"]


@pytest.mark.parametrize(
    ("own", "fleet", "said", "not_said"),
    [
        (
            True,
            False,
            ["more than names.new_per_instance (7) allows", "correct the names that it sends"],
            "new_per_fleet",
        ),
        (False, True, ["names.new_per_fleet (9)", "which instances"], "new_per_instance"),
        (True, True, ["names.new_per_instance (7)", "names.new_per_fleet (9)"], "changed"),
        (False, False, ["a limit that was changed since"], "(7)"),
    ],
)
def test_the_limit_of_the_instance_and_that_of_the_fleet_are_told_apart(
    own: bool, fleet: bool, said: list[str], not_said: str
) -> None:
    limits = NameLimits(new_per_instance=7, new_per_fleet=9)
    (finding,) = detect_refused_names([RefusedNames("bad", 1, 1, "x", own, fleet)], limits)
    assert all(each in finding.message for each in said), finding.message
    assert not_said not in finding.message
