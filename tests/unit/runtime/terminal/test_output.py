"""Numbers and times in tables and in JSON."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from centralcloud.runtime.terminal.output import print_json, print_table


def test_json_has_no_rounding_errors(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {
            "moved": 4.2 - 4.5,
            "rates": [0.1 + 0.2, Decimal("0.5")],
            "count": 2**60,
            "at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )
    text = capsys.readouterr().out
    assert text == f'{{"moved": -0.3, "rates": [0.3, 0.5], "count": {2**60}, "at": "2026-01-01T00:00:00+00:00"}}\n'
    assert json.loads(text)["count"] == 2**60


def test_cells_are_shown_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b", "c", "d", "e"), [(None, True, 12345, 1.5, {"k": "é"})], empty="")
    assert capsys.readouterr().out.splitlines()[1].split(maxsplit=4) == ["-", "yes", "12,345", "1.500", '{"k": "é"}']
