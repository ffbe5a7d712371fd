"""Leases on probes: of several gateways one probes in a second, and none waits for the database."""

from instance_agent.gateway.probe_leases import ANSWER_SECONDS, HOLD_SECONDS, PROBE_SECONDS, ProbeLeases


class Fleet:
    """A lease of one key between two gateways, as the database keeps it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.up = True
        self.leases = ProbeLeases(lambda key, seconds: self.asked.append((key, seconds)), available=lambda: self.up)


def test_the_request_after_the_answer_is_the_probe_and_a_second_passes_before_the_next() -> None:
    fleet = Fleet()
    assert not fleet.leases.may_probe("one", 0.0)
    fleet.leases.answered("one", 0.01, held=True)
    assert fleet.leases.may_probe("one", 0.02)
    assert fleet.asked == [("one", HOLD_SECONDS), ("one", PROBE_SECONDS)], (
        "others need not wait for the end of the lease"
    )
    fleet.leases.answered("one", 0.03, held=True)
    assert not fleet.leases.may_probe("one", 0.5)
    assert not fleet.leases.may_probe("one", 1.1), "it asks again first"
    assert fleet.asked[2:] == [("one", HOLD_SECONDS)]


def test_a_refused_gateway_asks_again_after_a_second() -> None:
    fleet = Fleet()
    assert not fleet.leases.may_probe("one", 0.0)
    fleet.leases.answered("one", 0.01, held=False)
    assert [fleet.leases.may_probe("one", at) for at in (0.02, 0.9)] == [False, False]
    assert len(fleet.asked) == 1
    assert not fleet.leases.may_probe("one", 1.1)
    assert len(fleet.asked) == 2
    assert (fleet.leases.held, fleet.leases.refused) == (0, 1)


def test_without_an_answer_in_time_the_gateway_probes_by_itself_once_in_a_second() -> None:
    fleet = Fleet()
    assert not fleet.leases.may_probe("one", 0.0)
    assert not fleet.leases.may_probe("one", ANSWER_SECONDS - 0.01)
    assert fleet.leases.may_probe("one", ANSWER_SECONDS)
    assert not fleet.leases.may_probe("one", ANSWER_SECONDS + 0.5)
    assert fleet.leases.unanswered == 1


def test_without_the_database_nothing_is_asked() -> None:
    fleet = Fleet()
    fleet.up = False
    assert [fleet.leases.may_probe("one", at) for at in (0.0, 0.5, 1.0)] == [True, False, True]
    assert fleet.asked == []


def test_a_gateway_with_few_requests_probes_although_its_lease_has_run_out() -> None:
    fleet = Fleet()
    assert not fleet.leases.may_probe("one", 0.0)
    fleet.leases.answered("one", 0.01, held=True)
    assert fleet.leases.may_probe("one", 60.0)


def test_an_answer_that_says_nothing_leaves_the_probe_to_this_gateway() -> None:
    fleet = Fleet()
    assert not fleet.leases.may_probe("one", 0.0)
    fleet.leases.answered("one", 0.1, held=None)
    assert fleet.leases.may_probe("one", 0.1)
