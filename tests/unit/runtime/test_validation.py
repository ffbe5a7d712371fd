"""Pydantic's expectations in our words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from centralcloud.runtime.validation import expectation


class _Inner(BaseModel):
    a: int


class _Model(BaseModel):
    whole: int = 1
    share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.5
    above: Annotated[int, Field(gt=0, le=9)] = 1
    word: Literal["a", "b"] = "a"
    text: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    limited: float = Field(default=0.5, ge=0, le=1)
    flag: bool = False
    items: list[int] = []
    inner: _Inner = _Inner(a=1)
    checked: int = 1

    @field_validator("checked")
    @classmethod
    def _check(cls, value: int) -> int:
        if value > 1:
            raise ValueError("expected 1 at most")
        return value


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("whole", "lots", "expected a whole number"),
        ("whole", 1.5, "expected a whole number"),
        ("share", "x", "expected a number"),
        ("share", float("nan"), "expected a finite number"),
        ("share", -1, "expected at least 0"),
        ("share", 1, "expected less than 1"),
        ("above", 0, "expected more than 0"),
        ("above", 10, "expected at most 9"),
        ("limited", float("nan"), "expected a finite number"),
        ("limited", "NaN", "expected a finite number"),
        ("limited", "inf", "expected at most 1"),
        ("word", "c", "expected 'a' or 'b'"),
        ("text", "a", "expected at least 2 characters"),
        ("text", "abcd", "expected at most 3 characters"),
        ("text", 5, "expected a text"),
        ("flag", "perhaps", "expected true or false"),
        ("items", 3, "expected a list"),
        ("inner", 3, "expected a mapping"),
        ("inner", {}, "expected a value"),
        ("checked", 2, "expected 1 at most"),
    ],
)
def test_an_expectation_is_in_our_words(field: str, value: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as error:
        _Model.model_validate({field: value})
    assert expectation(error.value.errors()[0]) == expected
