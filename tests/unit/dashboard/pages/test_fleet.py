"""The view of the fleet: pure."""

import json
from datetime import UTC, datetime, timedelta

from centralcloud.dashboard.pages.fleet import headline
from centralcloud.dashboard.pages.fleet_instances import PAGE_SIZE, Rows, details, listing
from centralcloud.dashboard.pages.fleet_work import lost, queue, workers
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.fleet import FleetState
from centralcloud.dashboard.sources.instances import Instance, InstanceModel, LateAndLost, Lease, Sender, Worker
from centralcloud.dashboard.sources.minutes import FleetMinute
from centralcloud.dashboard.sources.queue import QueueState

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RUNNING = Worker(1, "h", "7-1", 1000, NOW, NOW, True, False)
FLEET = FleetState(50, 3, 0, None, None, 1, NOW, 0, 0, None, 9, NOW)


def _instance(name: str, lag: int = 0, *, silent: bool = False, quarantine: int | None = None) -> Instance:
    seen = NOW - timedelta(hours=silent)
    return Instance(name, 50 - lag, lag, lag > 0, NOW - timedelta(days=9), seen, silent, 100, quarantine)


def _fleet() -> list[Instance]:
    return [
        _instance("a"),
        _instance("b", 3),
        _instance("c", 10, silent=True),
        _instance("d", quarantine=7),
        _instance("e", silent=True),
    ]


def test_the_worst_instances_come_first_and_each_group_counts_its_own() -> None:
    instances = _fleet()
    found = listing(instances, Rows(instances, (), ()), {})
    assert [row.name for row in found.rows] == ["d", "c", "b", "e", "a"]
    assert {group.words: group.number for group in found.groups} == {
        "up to date": 1,
        "behind": 2,
        "silent for 10 minutes": 2,
        "not believed": 1,
    }


def test_the_group_behind_has_as_many_as_the_overview_says() -> None:
    """The overview links its number of instances that are behind to this group."""
    instances = _fleet()
    found = listing(instances, Rows(instances, (), ()), {"show": "behind"})
    assert [row.name for row in found.rows] == ["c", "b"]
    urls = {group.words: group.url for group in listing(instances, Rows(instances, (), ()), {"page": "3"}).groups}
    assert urls["behind"] == "/fleet?show=behind#instances", "another group begins with its first page"
    assert [(row.lag, row.width) for row in found.rows] == [
        ("10 versions behind when last seen", 100.0),
        ("3 versions behind", 30.0),
    ]


def test_a_thousand_instances_are_shown_in_pages() -> None:
    instances = [_instance(f"router-{number:04}", number % 3) for number in range(1000)]
    rows = Rows(instances, (), ())
    first = listing(instances, rows, {"sort": "name"})
    assert (len(first.rows), first.rows[0].name, first.pager.total) == (PAGE_SIZE, "router-0000", 1000)
    last = listing(instances, rows, {"sort": "name", "page": "20", "instance": "ROUTER"})
    assert (last.rows[-1].name, last.pager.older) == ("router-0999", None)
    assert last.pager.newer == "/fleet?sort=name&instance=ROUTER&page=19#instances"


def test_the_details_are_those_of_exactly_that_name() -> None:
    instances = [_instance("a"), _instance("ab", 2, silent=True)]
    models = [InstanceModel("ab", "m", 75, 30, 10), InstanceModel("ab", "n", 25, 0, 0)]
    rows = Rows(instances, models, [Sender("ab", True)])
    finding = Finding(7, "new_names_refused", "ab", "refused", json.dumps({"instance": "ab"}), None, NOW, NOW, None)
    assert details("b", instances, rows, [finding], 50) is None
    found = details("ab", instances, rows, [finding], 50)
    assert found is not None
    assert [(each.model, each.share, each.success_rate) for each in found.models] == [
        ("m", 0.75, 0.75),
        ("n", 0.25, None),
    ]
    assert found.findings == (("look", "New names refused", "Refused.", "/incidents#finding-7"),)
    assert (found.row.kind, found.row.models) == ("gateway", "m 75%, n 25%")
    assert "centralcloud instances forget ab" in [command for _, command in found.commands]


def test_the_heading_is_the_worst_thing_about_the_fleet() -> None:
    assert headline(FLEET, [_instance("a"), _instance("b")], [RUNNING]).title == "All 2 instances are up to date"
    found = headline(FLEET, [_instance("a"), _instance("b", 3)], [RUNNING])
    assert (found.state, found.title) == ("look", "1 of 2 instances is behind the newest scores")
    assert "b is 3 versions behind" in found.text
    stopped = headline(FLEET._replace(workers=0), [_instance("a")], ())
    assert stopped.state == "bad"
    assert "No daemon is running" in stopped.title
    assert headline(FLEET, [], [RUNNING]).title == "No instance is registered"


def test_the_heading_and_the_list_are_of_the_same_reading() -> None:
    """The numbers of the fleet are read each second, the list every 15: the two may not contradict each other."""
    newer = FLEET._replace(version=60, behind=1, furthest_behind="a", versions_behind=10)
    found = headline(newer, [_instance("a"), _instance("b")], [RUNNING])
    assert found.title == "All 2 instances are up to date"
    assert found.text == "The newest version is 50."


def test_an_instance_that_lacks_versions_is_never_called_on_the_newest() -> None:
    fresh = _instance("fresh", 2)._replace(is_behind=False)
    gone = _instance("gone", 40, silent=True)._replace(is_behind=False)
    rows = Rows([fresh, gone], (), ())
    assert [(row.lag, bool(row.width)) for row in map(rows.row, (fresh, gone, _instance("a")))] == [
        ("2 versions on their way", False),
        ("40 versions behind when last seen", True),
        ("on the newest", False),
    ]


def test_a_worker_that_missed_a_heartbeat_is_not_called_running() -> None:
    late, stopped = RUNNING._replace(is_late=True), RUNNING._replace(is_late=True, is_running=False)
    found = workers([RUNNING, late, stopped], (), ())
    assert found is not None
    assert [(each.state, each.words) for each in found.processes] == [
        ("good", "running"),
        ("look", "missed a heartbeat"),
        ("neutral", "stopped without a goodbye"),
    ]
    assert headline(FLEET, [_instance("a")], [late]).title == "The daemon that ingests has missed a heartbeat"
    assert headline(FLEET, [_instance("a")], [late, RUNNING]).state == "good"


def test_nothing_is_ingested_without_a_worker() -> None:
    minute = FleetMinute(NOW, 60.0, 6000, 5900, 100, 0, None, 0, 1, 0, 0)
    state = QueueState(0, False, 0, 0, 0, None, None, 8192)
    for running, rate in ((1, "100"), (0, "0.0")):
        facts = {each.label: each for each in queue(state, (minute,), running) or ()}
        assert facts["Ingested"].value == rate


def test_a_capped_queue_says_so() -> None:
    state = QueueState(100_000, True, 99_000, 900, 100, 700.0, 650.0, 5 * 2**30)
    facts = {each.label: each for each in queue(state, (), 1) or ()}
    assert facts["In the queue"].value == "at least 100,000"
    assert facts["Oldest has waited"].value == "11 minutes"
    assert (facts["On disk"].value, facts["On disk"].unit) == ("5.0", "GiB")
    assert queue(None, (), 1) is None


def test_each_lease_stands_with_the_process_that_holds_it() -> None:
    found = workers(
        [RUNNING],
        [
            Lease("findings", "h/7-1", NOW, True),
            Lease("observation", "gone/8-1", NOW, True),
            Lease("learner", "h/7-1", NOW, False),
        ],
        (),
    )
    assert found is not None
    assert found.processes[0].work == ("looks for findings",)
    assert [lease.name for lease in found.others] == ["observation", "learner"]


def test_pairs_that_lack_nothing_are_counted_and_those_that_lost_most_come_first() -> None:
    found = lost(
        [
            LateAndLost("a", "simple", 100, 50.0, 50, 30, 60.0),
            LateAndLost("b", "simple", 1000, 10.0, 900, 9, 1.0),
            LateAndLost("c", "simple", 1000, 0.0, 1000, 0, 0.0),
        ]
    )
    assert found is not None
    assert [(row.lost, row.state) for row in found.rows] == [(100, None), (50, "look")]
    assert found.fine == 1
