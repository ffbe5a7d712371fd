"""The doctor's check of the clocks, in words that people say."""

import time
from types import SimpleNamespace

import pytest

from centralcloud.runtime.diagnostics import clocks_agree
from centralcloud.runtime.postgres.database import Database


@pytest.mark.parametrize(("ahead_seconds", "words"), [(63_072_000, "730 days"), (-7200, "2 hours")])
def test_a_difference_of_the_clocks_has_its_unit(
    ahead_seconds: int, words: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: time.time() + ahead_seconds)
    monkeypatch.setattr("centralcloud.runtime.diagnostics.time", clock)
    result = clocks_agree(database)
    assert (result.verdict, result.found) == ("WARN", f"{words} between this host and the server")
