"""A model that an experiment names by mistake is refused with the ones that there are."""

import pytest
from support.experiment_entries import parsed

from centralcloud.contracts import ContractError
from centralcloud.contracts.treatment_models import check_treatment_models

KNOWN = ("gpt-4o", "gpt-4o-mini", "opus", "sonnet")


def refusal(name: str, *known: str, **options: tuple[str, ...]) -> str:
    with pytest.raises(ContractError) as found:
        check_treatment_models(parsed({"name": "x", "model": name}), known, "experiment", **options)
    return str(found.value)


def test_a_known_model_a_policy_and_a_table_are_accepted() -> None:
    table = {"name": "t", "scoreTable": [{"modelId": "gone", "complexity": "simple", "score": 3}]}
    check_treatment_models(
        parsed({"name": "m", "model": "opus"}, {"name": "p", "policy": "fast"}, table, share=0.2), KNOWN, "experiment"
    )


def test_a_mistyped_model_is_refused_with_the_closest_ones() -> None:
    assert refusal("gpt4o", *KNOWN) == (
        'experiment.treatments[0].model: found "gpt4o", expected a model that is registered or has had requests, '
        "such as gpt-4o, gpt-4o-mini"
    )


def test_an_inactive_model_is_refused_and_never_proposed() -> None:
    assert refusal("gpt-4o", *KNOWN, inactive=("gpt-4o",)) == (
        'experiment.treatments[0].model: found "gpt-4o", which is inactive, expected an active model, such as gpt-4o-mini'
    )


def test_without_a_close_one_the_models_are_listed() -> None:
    assert refusal("zzz", *KNOWN).endswith("has had requests: gpt-4o, gpt-4o-mini, opus, sonnet")
    assert refusal("zzz", *(f"m{n:02}" for n in range(12))).endswith("m08, m09 and 2 more")
    assert refusal("zzz").endswith("has had requests: there is none yet")


def test_the_path_names_the_treatment() -> None:
    two = parsed({"name": "a", "model": "opus"}, {"name": "b", "model": "nowhere"}, share=0.3)
    with pytest.raises(ContractError, match=r"^body\.treatments\[1\]\.model: "):
        check_treatment_models(two, KNOWN, "body")
