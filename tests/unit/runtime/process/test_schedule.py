"""Calendar schedules in crontab form."""

from datetime import UTC, datetime

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.runtime.process.schedule import parse_crontab
from centralcloud.runtime.settings import load_settings
from centralcloud.settings import Settings

_SATURDAY = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def next_runs(text: str, count: int) -> list[str]:
    trigger, found = parse_crontab(text), []
    previous, now = None, _SATURDAY
    for _ in range(count):
        previous = trigger.get_next_fire_time(previous, now)
        found.append(f"{previous:%a %d %b %H:%M}")
        now = previous
    return found


@pytest.mark.parametrize(
    ("schedule", "runs"),
    [
        ("*/20 * * * *", ["Sat 28 Nov 12:00", "Sat 28 Nov 12:20"]),
        ("30 2 * * *", ["Sun 29 Nov 02:30", "Mon 30 Nov 02:30"]),
        ("30 2 * * 0", ["Sun 29 Nov 02:30", "Sun 06 Dec 02:30"]),
        ("30 2 * * 7", ["Sun 29 Nov 02:30", "Sun 06 Dec 02:30"]),
        ("30 2 * * SUN", ["Sun 29 Nov 02:30", "Sun 06 Dec 02:30"]),
        ("30 2 * * 1-5", ["Mon 30 Nov 02:30", "Tue 01 Dec 02:30"]),
        ("30 2 * * 5-7", ["Sun 29 Nov 02:30", "Fri 04 Dec 02:30", "Sat 05 Dec 02:30", "Sun 06 Dec 02:30"]),
        ("30 2 * * sat-sun", ["Sun 29 Nov 02:30", "Sat 05 Dec 02:30"]),
        ("30 2 * * 0-6/3", ["Sun 29 Nov 02:30", "Wed 02 Dec 02:30", "Sat 05 Dec 02:30"]),
        ("30 2 * * */2", ["Sun 29 Nov 02:30", "Tue 01 Dec 02:30", "Thu 03 Dec 02:30"]),
        ("30 2 1 * *", ["Tue 01 Dec 02:30", "Fri 01 Jan 02:30"]),
        ("30 2 1 * 0", ["Sun 29 Nov 02:30", "Tue 01 Dec 02:30", "Sun 06 Dec 02:30"]),
        ("0 0,12 * JAN-FEB,12 *", ["Tue 01 Dec 00:00", "Tue 01 Dec 12:00"]),
    ],
)
def test_a_schedule_means_what_crontab_means(schedule: str, runs: list[str]) -> None:
    assert next_runs(schedule, len(runs)) == runs


@pytest.mark.parametrize(
    "schedule",
    [
        *(
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * * * 5-1",
        ),
        *("* * * * wednesday", "* * * * 1-", "@daily", "every minute of the day", "* * * * 2nd"),
    ],
)
def test_another_form_is_one_line_that_names_the_variable(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^expected a crontab schedule in UTC such as '30 2"):
        parse_crontab(schedule)
    if schedule:  # an empty variable counts as unset
        for name in ("LEARN", "MAINTENANCE"):
            variable = f"CENTRALCLOUD_{name}_SCHEDULE"
            monkeypatch.setenv(variable, schedule)
            with pytest.raises(SettingsError) as raised:
                load_settings(Settings)
            assert str(raised.value).startswith(f"{variable} is {schedule!r}: expected a crontab schedule")
            assert "\n" not in str(raised.value)
            monkeypatch.delenv(variable)
