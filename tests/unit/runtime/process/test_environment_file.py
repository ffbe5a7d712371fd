"""Environment files are read as systemd reads them, and never evaluated."""

import pytest

from centralcloud.runtime.process.environment_file import EnvironmentFileError, Parsed, parse, read


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("30 2 * * 1-5", "30 2 * * 1-5"),
        ("$(touch /tmp/x)", "$(touch /tmp/x)"),
        ("`touch /tmp/x`;touch /tmp/y", "`touch /tmp/x`;touch /tmp/y"),
        ("$HOME ${HOME} ~ * ? && | > <", "$HOME ${HOME} ~ * ? && | > <"),
        ("", ""),
        ("  both sides \t", "both sides"),
        ("not # a comment", "not # a comment"),
        ("a=b=c", "a=b=c"),
        ('it\'s "quoted" inside', 'it\'s "quoted" inside'),
        ("'single $x \\ \" quotes'", 'single $x \\ " quotes'),
        ("  ' kept '  ", " kept "),
        ('"double \\" \\$ \\` \\\\ \\n quotes"', 'double " $ ` \\ \\n quotes'),
        ('"two\nlines"', "two\nlines"),
        ('"contin\\\nued"', "continued"),
        ("'one' \"two\" three", "onetwothree"),
        ("back\\\\slash and\\ space\\ ", "back\\slash and space "),
        ("continued \\\n  line", "continued   line"),
        ("\\'not quoted\\'", "'not quoted'"),
        ("carriage return\r", "carriage return"),
        ("ü 文", "ü 文"),
    ],
)
def test_a_value_is_what_systemd_takes_for_it(written: str, value: str) -> None:
    assert parse(f"BEFORE=1\nNAME={written}\nAFTER=2\n") == Parsed({"BEFORE": "1", "NAME": value, "AFTER": "2"}, [])


@pytest.mark.parametrize(
    ("end", "value"),
    [("a\\", "a"), ("a\\\n", "a"), ("'open", "open"), ('"open', "open"), ('"open\\', "open"), ("", "")],
)
def test_the_last_line_may_end_early(end: str, value: str) -> None:
    assert parse(f"NAME={end}") == Parsed({"NAME": value}, [])


def test_comments_and_empty_lines_set_nothing_and_the_last_value_of_a_name_counts() -> None:
    text = "# A=1\n; A=2\n\n  \t\n  # A=3 \\\n  A = 4\nA=5\n"
    assert parse(text) == Parsed({"A": "5"}, [])


def test_a_line_that_sets_nothing_is_reported_by_its_number_only() -> None:
    assert parse("A=1\nsecret\n\nexport B=2\n2C=3\n=4\nD=5") == Parsed({"A": "1", "D": "5"}, [2, 4, 5, 6])


def test_a_file_may_be_missing_only_after_a_hyphen(tmp_path) -> None:
    assert read(f"-{tmp_path}/missing.env") == Parsed({}, [])
    with pytest.raises(EnvironmentFileError, match=r"missing\.env: cannot be read: No such file"):
        read(f"{tmp_path}/missing.env")
    (tmp_path / "latin.env").write_bytes(b"A=\xfc\n")
    with pytest.raises(EnvironmentFileError, match="expected UTF-8"):
        read(f"-{tmp_path}/latin.env")
