"""Tables: every number whole at any width, no line wider than the terminal, nothing lost."""

import re

import pytest

from centralcloud.runtime.terminal.table_layout import plain_lines, table_lines, text_width, wrap

REASON = "114 of 150 outcomes succeeded (76%, not more than 95%): -0.2; average response time 4,000 ms: -0.1"
SCORES = ("model", "complexity", "score", "version", "updated_at", "reason")
LONG_NAME = "m" * 100 + "/" + "x" * 99


def scores(*models: str) -> list[tuple[str, ...]]:
    return [
        (model, complexity, "3.100", "1,234", "2026-11-29 07:58:35+00:00", REASON)
        for model in models
        for complexity in ("simple", "medium", "complex")
    ]


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]], width: int, **options) -> list[str]:
    lines = list(table_lines(titles, rows, width, **options))
    assert max(map(text_width, lines)) <= width, "no line is wider than the terminal"
    return lines


def text_of(lines: list[str]) -> str:
    return re.sub(r"\s", "", "".join(lines))


def test_a_table_that_fits_has_one_line_a_row_and_numbers_on_the_right() -> None:
    assert table(("model", "count", "rate"), [("a", "7", "87.5%"), ("bc", "1,234", "-")], 80) == [
        "model  count   rate",
        "a          7  87.5%",
        "bc     1,234      -",
    ]


def test_a_long_text_stands_below_its_row() -> None:
    lines = table(SCORES, scores("gpt-4o")[:1], 80, texts=("reason",))
    assert lines == [
        "model   complexity  score  version  updated_at",
        "    reason",
        "gpt-4o  simple      3.100    1,234  2026-11-29 07:58:35+00:00",
        "    114 of 150 outcomes succeeded (76%, not more than 95%): -0.2; average",
        "    response time 4,000 ms: -0.1",
    ]


def test_several_texts_below_a_row_are_labelled_and_empty_ones_left_out() -> None:
    titles = ("subject", "before", "reason")
    lines = table(titles, [("rule", "-", REASON), ("rule", "adaptive", "-")], 60, texts=("before", "reason"))
    assert lines[:3] == ["subject", "    before, reason", "rule"]
    assert lines[3].startswith("    reason: 114 of 150")
    assert lines[-1] == "    before: adaptive"


def test_a_wide_terminal_has_the_text_in_the_row() -> None:
    assert len(table(SCORES, scores("gpt-4o"), 200, texts=("reason",))) == 4


def test_titles_break_before_names_do() -> None:
    titles = ("model", "outcomes_last_24_hours", "success_rate")
    assert table(titles, [("gpt-4o-mini", "1,234", "87.5%")], 34) == [
        "              outcomes",
        "               last_24     success",
        "model            hours        rate",
        "gpt-4o-mini      1,234       87.5%",
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 400])
@pytest.mark.parametrize(
    "name", ["gpt-4o", "anthropic/claude-3-5-sonnet-20241022", LONG_NAME, "模型-通义千问" * 20, "🦙" * 60]
)
def test_nothing_is_lost_and_no_number_is_broken_at_any_width(name: str, width: int) -> None:
    rows = scores(name, "other")
    lines = table(SCORES, rows, width, texts=("reason",))
    assert sum(line.count("1,234") for line in lines) == len(rows)
    assert sum(line.count("3.100") for line in lines) == len(rows)
    assert name in text_of(lines)
    words = " ".join(lines).split()
    for word in REASON.split():
        assert words.count(word) >= len(rows), word
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_one_row_of_many_numbers_keeps_every_digit(width: int) -> None:
    titles = ("sent", "records", "records_kept", "records_dropped", "duplicates", "dead_letters_discarded", "queued")
    row = ("175,312", "175,311", "1,175,311,999", "0", "12", "0", "1")
    lines = table(titles, [row], width)
    assert all(number in " ".join(lines).split() for number in row)
    if width == 40:
        assert lines[0] == "sent                          175,312"


def test_a_name_too_long_for_its_column_is_a_heading_over_its_rows() -> None:
    lines = table(SCORES, scores(LONG_NAME, "gpt-4o"), 80, texts=("reason",))
    assert lines[:3] == ["model", "  complexity  score  version  updated_at", "    reason"]
    assert lines.count("gpt-4o") == 1
    assert [line.split()[0] for line in lines if re.match(r"  \w+ +3\.100", line)] == [
        "simple",
        "medium",
        "complex",
    ] * 2


def test_another_column_can_be_the_heading() -> None:
    titles = ("version", "at", "model", "old", "new")
    lines = table(titles, [("1,234", "2026-11-29 07:58:35+00:00", LONG_NAME, "3.1", "3.2")], 60, heading="model")
    assert (lines[0], lines[1].split()) == ("model", ["version", "at", "old", "new"])


def test_wide_characters_are_aligned_by_their_width() -> None:
    lines = table(("model", "score"), [("模型", "1.000"), ("a", "2.000"), ("e\u0301", "3.000")], 80)
    assert [text_width(line) for line in lines] == [12] * 4
    assert lines[1] == "模型   1.000"


def test_words_break_only_when_they_are_longer_than_the_line() -> None:
    assert wrap("a response of 4,000 ms is slow", 13) == ["a response of", "4,000 ms is", "slow"]
    assert wrap("anthropic/claude-3-5-sonnet", 12) == ["anthropic/", "claude-3-5-", "sonnet"]
    assert wrap("x" * 7, 3) == ["xxx", "xxx", "x"]
    assert wrap("模型模型", 5) == ["模型", "模型"]
    assert wrap("", 5) == [""]


def test_the_rest_of_a_line_is_indented_and_spaces_within_a_line_are_kept() -> None:
    line = "           dune-code (medium): 2.900 -> 4.851, 模型"
    assert wrap(line, 40, indent=" " * 13) == ["           dune-code (medium): 2.900 ->", "             4.851, 模型"]
    assert wrap("workers    2 workers on a, b", 20, indent="  ") == ["workers    2 workers", "  on a, b"]
    assert wrap("   " + "x" * 8, 6, indent=" ") == ["   xxx", " xxxxx"]
    for width in range(1, 50):
        assert max(map(text_width, wrap(line, max(width, 15), indent=" " * 13))) <= max(width, 15)


def test_in_a_pipe_a_row_is_a_line_however_long() -> None:
    lines = list(plain_lines(SCORES, scores(LONG_NAME)))
    assert len(lines) == 4
    assert lines[1].split(maxsplit=6)[:4] == [LONG_NAME, "simple", "3.100", "1,234"]
    assert lines[1].endswith(REASON)
