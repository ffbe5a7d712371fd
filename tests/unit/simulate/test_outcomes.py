"""Outcome tables: valid ones are read, others are refused in one line that names the place."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from support.outcomes import a_table, table_text, write_table

from centralcloud.contracts import SettingsError
from centralcloud.simulate.outcomes import read_outcomes

HEADER = "model,item_id,complexity,success,latency_ms,cost_usd\n"


def test_outcomes_are_found_by_model_and_item(tmp_path: Path) -> None:
    text = HEADER + "a,i,simple,1,100,\nb,i,simple,0.25,,0.5\na,j,complex,0,300,0.1\nb,j,complex,1,400,0.2\n"
    table = read_outcomes(write_table(tmp_path, text)).table()
    assert table.models == ("a", "b")
    assert table.complexities == ("simple", "complex")
    assert table.reward.tolist() == [[1, 0], [0.25, 1]]
    assert table.latency_ms[:, 1].tolist() == [300, 400]
    assert table.latency_ms[0, 0] == 100
    assert np.isnan(table.latency_ms[1, 0])
    assert np.isnan(table.cost_usd[0, 0])
    assert table.cost_usd[:, 1].tolist() == [0.1, 0.2]
    assert not table.estimated.any()


def test_latency_and_cost_are_optional_and_columns_may_have_any_order_and_number(tmp_path: Path) -> None:
    text = "note,success,item_id,model,complexity\nx,1,i,a,Simple\n"
    table = read_outcomes(write_table(tmp_path, text)).table()
    assert table.reward.tolist() == [[1.0]]
    assert np.isnan(table.cost_usd).all()


def test_a_gzipped_table_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(gzip.compress(table_text().encode()))
    assert read_outcomes(path).models == ("good", "fair", "poor", "bad")


def test_models_are_ranked_by_mean_success_over_complexities(tmp_path: Path) -> None:
    rates = {"b": (0.5, 0.5, 0.5), "a": (0.5, 0.5, 0.5), "uneven": (0.9, 0.9, 0.1)}
    assert a_table(tmp_path, rates, items=100).table().ranking() == ["uneven", "a", "b"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"line 1: found the columns nothing, expected also model"),
        ("model,item_id,complexity\n", r'line 1: found the columns "model", .*, expected also success'),
        (HEADER, r"found no outcomes, expected a line for every model and item"),
        (HEADER + "a,i,easy,1,,\n", r'line 2: complexity: found "easy", expected one of simple, medium, complex'),
        (HEADER + "a,i,simple,,,\n", r'line 2: success: found "", expected a number from 0 to 1'),
        (HEADER + "a,i,simple,yes,,\n", r'line 2: success: found "yes", expected a number from 0 to 1'),
        (HEADER + "a,i,simple,1.5,,\n", r'line 2: success: found "1.5", expected a number from 0 to 1'),
        (HEADER + "a,i,simple,nan,,\n", r'line 2: success: found "nan", expected a number from 0 to 1'),
        (HEADER + "a,i,simple,1,-3,\n", r'line 2: latency_ms: found "-3", expected a number of at least 0, or nothing'),
        (HEADER + "a,i,simple,1,3,cheap\n", r'line 2: cost_usd: found "cheap", expected a number of at least 0'),
        (HEADER + ",i,simple,1,3,\n", r"line 2: model: found nothing, expected a name"),
        (HEADER + "a,i,simple,1,,\na,i,simple,0,,\n", r'line 3: found "a" with item "i" again, expected it once'),
        (
            HEADER + "a,i,simple,1,,\nb,i,medium,0,,\n",
            r'line 3: complexity: found "medium" for item "i", expected "simple"',
        ),
    ],
)
def test_a_file_that_is_not_an_outcome_table_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=rf"outcomes\.csv: {complaint}") as refusal:
        read_outcomes(write_table(tmp_path, text))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"model,item_id\n\xff\xfe", "found a byte that is not UTF-8"),
        (gzip.compress(table_text().encode())[:200], "found a gzip file that is damaged or cut off"),
        (b"\x1f\x8bnot gzip at all", "cannot read"),
        (gzip.compress(table_text().encode())[:200] + b"x" * 200, "found a gzip file that is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        read_outcomes(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.csv: No such file"):
        read_outcomes(tmp_path / "none.csv")


def test_a_model_with_too_few_outcomes_is_refused_only_if_the_scenario_uses_it(tmp_path: Path) -> None:
    outcomes = read_outcomes(write_table(tmp_path, table_text() + "lazy,simple-0,simple,1,1,1\n"))
    assert outcomes.table(["good", "bad"]).models == ("good", "bad")
    with pytest.raises(
        SettingsError,
        match=r'model "lazy": found outcomes for 1 of the 200 simple items, expected at least 10, from which the others',
    ):
        outcomes.table()
