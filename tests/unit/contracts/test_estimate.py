"""The estimate behind a score: parsed leniently, written with the parts that are set."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.contracts import NO_ESTIMATE, Estimate, parse_estimate


@pytest.mark.parametrize(
    ("values", "estimate"),
    [
        ({}, NO_ESTIMATE),
        ({"mean": 1, "n_eff": 2}, Estimate(mean=1.0, n_eff=2.0)),
        ({"mean": 0.5, "n_eff": 9.2e18}, Estimate(mean=0.5, n_eff=9.2e18)),
        ({"mean": 0.5}, NO_ESTIMATE),
        ({"n_eff": 12}, NO_ESTIMATE),
        ({"mean": float("nan"), "n_eff": 12}, NO_ESTIMATE),
        ({"mean": 0.5, "n_eff": float("inf")}, NO_ESTIMATE),
        ({"mean": 0.5, "n_eff": 0}, NO_ESTIMATE),
        ({"mean": 0.5, "n_eff": 1e19}, NO_ESTIMATE),
        ({"mean": 0.5, "n_eff": 9, "draw_n": 12}, Estimate(mean=0.5, n_eff=9.0, draw_n=12.0)),
        ({"mean": 0.5, "n_eff": 9, "draw_n": 0}, Estimate(mean=0.5, n_eff=9.0)),
        ({"mean": 0.5, "n_eff": 9, "draw_n": "12"}, Estimate(mean=0.5, n_eff=9.0)),
        ({"mean": 0.5, "draw_n": 12}, NO_ESTIMATE),
        ({"probe_share": 1, "interval": (0, 1)}, Estimate(probe_share=1.0, interval=(0.0, 1.0))),
        ({"probe_share": True, "interval": [0.2, 0.1]}, NO_ESTIMATE),
        ({"score": 4.0, "mean": None, "n_eff": None, "probe_share": 0.0}, Estimate(probe_share=0.0)),
    ],
)
def test_an_invalid_part_is_left_out(values: dict, estimate: Estimate) -> None:
    assert parse_estimate(values) == estimate


def test_parsed_parts_are_floats() -> None:
    estimate = parse_estimate({"mean": 1, "n_eff": 2, "probe_share": 0, "interval": [0, 1]})
    assert [type(part) for part in (estimate.mean, estimate.n_eff, estimate.probe_share, *estimate.interval)] == [
        float
    ] * 5


@given(
    st.builds(
        lambda beta, probe_share, interval: Estimate(
            mean=beta and beta[0],
            n_eff=beta and beta[1],
            draw_n=beta and beta[2],
            probe_share=probe_share,
            interval=interval,
        ),
        st.none() | st.tuples(st.floats(0, 1), st.floats(1e-9, 9e18), st.none() | st.floats(1e-9, 9e18)),
        st.none() | st.floats(0, 1),
        st.none() | st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
    )
)
def test_a_written_estimate_is_read_unchanged(estimate: Estimate) -> None:
    assert parse_estimate(json.loads(json.dumps(estimate.to_json()))) == estimate


def test_the_parameters_of_the_distribution_follow_from_mean_and_n_eff() -> None:
    assert Estimate(mean=0.25, n_eff=8.0).beta == (2.0, 6.0)
    assert Estimate(mean=0.25, n_eff=8.0, draw_n=16.0).beta == (4.0, 12.0), (
        "routers draw from draw_n where there is one"
    )
    assert Estimate(mean=0.25).beta is None
    assert NO_ESTIMATE.beta is None


def test_an_estimate_cannot_be_changed_and_can_be_a_key() -> None:
    estimate = Estimate(mean=0.5, n_eff=2.0)
    with pytest.raises(AttributeError):
        estimate.mean = 0.6  # type: ignore[misc]
    assert {estimate: 1}[Estimate(mean=0.5, n_eff=2.0)] == 1
