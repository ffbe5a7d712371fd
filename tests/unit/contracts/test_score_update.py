"""The score update: the specification's form is enough, ours says more, and an unusable score is refused."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.contracts import COMPLEXITIES, ContractError, ScoreUpdate, parse_score_update

SEED_FORM = {
    "timestamp": "2025-10-27T07:00:00Z",
    "event_type": "model_score_update",
    "model": "gpt-4o",
    "complexity": "complex",
    "old_score": 4.8,
    "new_score": 5.0,
    "reason": "Learned from real-world outcomes",
}


def test_the_specifications_form_is_taken() -> None:
    update = parse_score_update(json.dumps(SEED_FORM))
    assert (update.model, update.complexity, update.old_score, update.new_score) == ("gpt-4o", "complex", 4.8, 5.0)
    assert update.version is None


def test_model_complexity_and_new_score_are_enough() -> None:
    update = parse_score_update('{"model": "m", "complexity": "Simple", "new_score": 1}')
    assert (update.model, update.complexity, update.new_score) == ("m", "simple", 1.0)


def test_what_is_written_has_the_specifications_fields_first() -> None:
    message = ScoreUpdate(model="m", complexity="simple", new_score=1.0, version=3).to_message()
    assert list(message)[:7] == list(SEED_FORM)
    assert message["event_type"] == "model_score_update"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m" * 201}, "model"),
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
def test_an_update_that_cannot_be_used_is_refused_with_its_field(changes: dict, field: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_score_update(json.dumps({**SEED_FORM, **changes}))
    assert refused.value.field == field


def test_a_timestamp_without_a_zone_is_utc() -> None:
    update = parse_score_update(json.dumps({**SEED_FORM, "timestamp": "2025-10-27T07:00:00"}))
    assert update.timestamp == datetime(2025, 10, 27, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "[]", "null", "{", '{"new_score": NaN}', '{"new_score": Infinity}'])
def test_what_is_no_json_object_is_refused(text: str | None) -> None:
    with pytest.raises(ContractError):
        parse_score_update(text)


@pytest.mark.parametrize(
    "changes", [{"old_score": "x"}, {"reason": 7}, {"timestamp": "soon"}, {"confidence": "high"}, {"run_id": "r"}]
)
def test_a_describing_field_of_the_wrong_form_does_not_cost_the_update(changes: dict) -> None:
    assert parse_score_update(json.dumps({**SEED_FORM, **changes})).new_score == 5.0


@given(
    st.builds(
        ScoreUpdate,
        model=st.text(min_size=1, max_size=200),
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
    )
)
def test_what_is_written_is_read_again(update: ScoreUpdate) -> None:
    assert parse_score_update(update.to_json()) == update
