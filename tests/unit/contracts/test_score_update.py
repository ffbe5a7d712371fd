"""The score update: the specification's fields are enough, additional ones are optional, an invalid score is rejected."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.contracts import COMPLEXITIES, ContractError, Estimate, ScoreUpdate, parse_score_update

SPECIFICATION_FORM = {
    "timestamp": "2025-10-27T07:00:00Z",
    "event_type": "model_score_update",
    "model": "gpt-4o",
    "complexity": "complex",
    "old_score": 4.8,
    "new_score": 5.0,
    "reason": "Learned from real-world outcomes",
}


def test_the_specifications_form_is_accepted() -> None:
    update = parse_score_update(json.dumps(SPECIFICATION_FORM))
    assert (update.model, update.complexity, update.old_score, update.new_score) == ("gpt-4o", "complex", 4.8, 5.0)
    assert update.version is None


def test_model_complexity_and_new_score_are_enough() -> None:
    update = parse_score_update('{"model": "m", "complexity": "Simple", "new_score": 1}')
    assert (update.model, update.complexity, update.new_score) == ("m", "simple", 1.0)


def test_a_message_has_the_specifications_fields_first() -> None:
    message = ScoreUpdate(model="m", complexity="simple", new_score=1.0, version=3).to_message()
    assert list(message)[:7] == list(SPECIFICATION_FORM)
    assert message["event_type"] == "model_score_update"
    assert list(message)[7:] == ["version", "confidence", "based_on_samples", "rule", "run_id"]


def test_a_message_has_the_fields_of_an_estimate_only_with_one() -> None:
    update = ScoreUpdate(
        model="m",
        complexity="simple",
        new_score=4.2,
        estimate=Estimate(mean=0.842, n_eff=1206.0, probe_share=0.0, interval=(0.825, 0.859)),
        window_start=datetime(2026, 11, 20, 9, 14, tzinfo=UTC),
    )
    assert dict(list(update.to_message().items())[12:]) == {
        "mean": 0.842,
        "n_eff": 1206.0,
        "probe_share": 0.0,
        "interval": [0.825, 0.859],
        "window_start": "2026-11-20T09:14:00+00:00",
    }
    assert parse_score_update(update.to_json()) == update


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"mean": 1, "n_eff": 2}, {"mean": 1.0, "n_eff": 2.0}),
        ({"mean": 0.5}, {}),
        ({"n_eff": 12}, {}),
        ({"mean": 1.01, "n_eff": 12}, {}),
        ({"mean": True, "n_eff": 12}, {}),
        ({"mean": 0.5, "n_eff": 0}, {}),
        ({"mean": 0.5, "n_eff": "12"}, {}),
        ({"mean": 0.5, "n_eff": True}, {}),
        ({"mean": 0.5, "n_eff": 10**400}, {}),
        ({"mean": "x", "n_eff": 12, "probe_share": 0.003}, {"probe_share": 0.003}),
        ({"probe_share": 1.5}, {}),
        ({"probe_share": [0.1]}, {}),
        ({"interval": [0, 1]}, {"interval": (0.0, 1.0)}),
        ({"interval": [0.6, 0.5]}, {}),
        ({"interval": [0.5]}, {}),
        ({"interval": [0.5, 1.5]}, {}),
        ({"interval": {"low": 0.1}}, {}),
        ({"interval": "01"}, {}),
        ({"window_start": "2026-11-20T09:14:00"}, {"window_start": datetime(2026, 11, 20, 9, 14, tzinfo=UTC)}),
        ({"window_start": 7}, {}),
    ],
)
def test_an_invalid_part_of_an_estimate_is_left_out(fields: dict, kept: dict) -> None:
    update = parse_score_update(json.dumps({**SPECIFICATION_FORM, **fields}))
    assert update.new_score == 5.0
    parts = {name: getattr(update.estimate, name) for name in ("mean", "n_eff", "probe_share", "interval")}
    parts["window_start"] = update.window_start
    assert {name: value for name, value in parts.items() if value is not None} == kept


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m" * 513}, "model"),
        ({"model": "gpt\x1b[2J4o"}, "model"),
        ({"model": "gpt\u202e4o"}, "model"),
        ({"complexity": "urgent"}, "complexity"),
        ({"complexity": 1}, "complexity"),
        ({"new_score": None}, "new_score"),
        ({"new_score": "3.0"}, "new_score"),
        ({"new_score": True}, "new_score"),
        ({"new_score": 5.001}, "new_score"),
        ({"new_score": -0.001}, "new_score"),
        ({"new_score": 10**400}, "new_score"),
        ({"version": 0}, "version"),
        ({"version": "7"}, "version"),
        ({"version": 2**63}, "version"),
        ({"version": True}, "version"),
        ({"event_type": "model_retired"}, "event_type"),
    ],
)
def test_an_invalid_update_is_rejected_with_its_field(changes: dict, field: str) -> None:
    with pytest.raises(ContractError) as rejected:
        parse_score_update(json.dumps({**SPECIFICATION_FORM, **changes}))
    assert rejected.value.field == field


def test_a_timestamp_without_a_zone_is_utc() -> None:
    update = parse_score_update(json.dumps({**SPECIFICATION_FORM, "timestamp": "2025-10-27T07:00:00"}))
    assert update.timestamp == datetime(2025, 10, 27, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "[]", "null", "{", '{"new_score": NaN}', '{"new_score": Infinity}'])
def test_text_that_is_not_a_json_object_is_rejected(text: str | None) -> None:
    with pytest.raises(ContractError):
        parse_score_update(text)


@pytest.mark.parametrize(
    "changes", [{"old_score": "x"}, {"reason": 7}, {"timestamp": "soon"}, {"confidence": "high"}, {"run_id": "r"}]
)
def test_an_invalid_descriptive_field_does_not_reject_the_update(changes: dict) -> None:
    assert parse_score_update(json.dumps({**SPECIFICATION_FORM, **changes})).new_score == 5.0


@pytest.mark.parametrize(
    ("sent", "kept"), [(0, 0.0), (1, 1.0), (0.982, 0.982), (4.9, None), (1.001, None), (-0.1, None), (True, None)]
)
def test_a_confidence_is_a_number_from_0_to_1(sent: float, kept: float | None) -> None:
    assert parse_score_update(json.dumps({**SPECIFICATION_FORM, "confidence": sent})).confidence == kept


@given(
    st.builds(
        ScoreUpdate,
        model=st.text(st.characters(exclude_categories=("Cc", "Cf", "Zl", "Zp", "Cs")), min_size=1, max_size=200),
        complexity=st.sampled_from(COMPLEXITIES),
        new_score=st.floats(0, 5),
        old_score=st.none() | st.floats(0, 5),
        version=st.none() | st.integers(1, 2**63 - 1),
        timestamp=st.none() | st.just(datetime(2026, 11, 20, tzinfo=UTC)),
        reason=st.none() | st.text(),
        confidence=st.none() | st.floats(0, 1),
        based_on_samples=st.none() | st.integers(0, 10**9),
        rule=st.none() | st.text(),
        run_id=st.none() | st.integers(1, 10**9),
        estimate=st.builds(
            lambda beta, probe_share, interval: Estimate(
                mean=beta and beta[0], n_eff=beta and beta[1], probe_share=probe_share, interval=interval
            ),
            st.none() | st.tuples(st.floats(0, 1), st.floats(0.001, 1e9)),
            st.none() | st.floats(0, 1),
            st.none() | st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
        ),
        window_start=st.none() | st.just(datetime(2026, 11, 20, tzinfo=UTC)),
    )
)
def test_a_written_update_is_read_unchanged(update: ScoreUpdate) -> None:
    assert parse_score_update(update.to_json()) == update
