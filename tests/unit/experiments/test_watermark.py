"""Records are folded as far as everything is ingested, and not while instances still send what they have kept."""

from datetime import UTC, datetime, timedelta

from support.experiment_events import an_experiment

from centralcloud.experiments.watermark import Beat, SteadyClock

_NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
_LONG_AGO = an_experiment(began=_NOW - timedelta(days=1))


def _ago(seconds: float) -> datetime:
    return _NOW - timedelta(seconds=seconds)


def test_an_empty_queue_holds_nothing_back() -> None:
    assert Beat(_NOW, None, None, None).ingested_until(_LONG_AGO) == _NOW


def test_the_oldest_message_that_waits_holds_the_watermark_back() -> None:
    assert Beat(_NOW, _ago(7200), None, None).ingested_until(_LONG_AGO) == _ago(7200)


def test_after_a_silence_the_watermark_waits_for_what_instances_have_kept() -> None:
    short = Beat(_NOW, None, _ago(30), timedelta(seconds=40))
    assert short.ingested_until(_LONG_AGO) == _ago(70), "as if it were still the begin of the silence"
    assert short._replace(resumed_at=_ago(40)).ingested_until(_LONG_AGO) == _NOW, "as long as the silence was"
    hours = Beat(_NOW, None, _ago(119), timedelta(hours=5))
    assert hours.ingested_until(_LONG_AGO) == _ago(119 + 5 * 3600)
    assert hours._replace(resumed_at=_ago(120)).ingested_until(_LONG_AGO) == _NOW, "two minutes at most"


def test_an_experiment_that_began_in_the_silence_does_not_wait() -> None:
    began = an_experiment(began=_ago(600))
    assert Beat(_NOW, None, _ago(10), timedelta(hours=5)).ingested_until(began) == _NOW


def test_a_silence_from_before_the_clock_was_set_back_holds_nothing_back() -> None:
    found = Beat(_NOW, None, _ago(-86_400), timedelta(hours=25))
    assert found.ingested_until(_LONG_AGO) == _NOW


def test_a_jump_ahead_is_not_believed_for_an_hour_and_one_back_is() -> None:
    seconds = 0.0
    steady = SteadyClock(lambda: seconds)

    def read(after: float, ahead: float) -> float:
        """Read a clock that is ahead; return by how much it is believed to be."""
        nonlocal seconds
        seconds = after
        return (steady.read(_NOW + timedelta(seconds=after + ahead)) - _NOW).total_seconds() - after

    assert read(0, 0) == 0
    assert read(5, 20) == 20, "clocks are corrected by some seconds"
    assert read(10, 3600) == 20
    assert read(3600, 3600) == 20
    assert read(3605, 0) == 0, "it was wrong"
    assert read(3610, 3600) == 0, "another jump is another hour of doubt"
    assert read(7200, 3600) == 0
    assert read(7210, 3600) == 3600, "the server may have been wrong before"
    assert read(7215, 3600) == 3600
    assert read(7220, -3600) == -3600
