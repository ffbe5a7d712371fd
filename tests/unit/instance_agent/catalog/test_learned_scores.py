"""Learned scores of an instance: the order of arrival makes no difference, and a damaged file is harmless."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.contracts import Estimate
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile

START = datetime(2026, 11, 20, tzinfo=UTC)


def learned(score: float, version: int | None, second: int) -> LearnedScore:
    return LearnedScore(score=score, version=version, at=START + timedelta(seconds=second))


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (learned(1, 2, 0), learned(2, 1, 9)),  # of two versions the higher, whenever it was published
        (learned(1, None, 5), learned(2, 7, 4)),  # manual, after the version
        (learned(1, 8, 6), learned(2, None, 5)),  # the next version after a manual score
        (learned(1, None, 6), learned(2, None, 5)),  # the later of two manual scores
        (learned(1, 3, 5), learned(2, None, 5)),  # at the same time: the version
        (learned(1, 1, 0), None),
    ],
)
def test_which_score_replaces_the_other(newer: LearnedScore, older: LearnedScore | None) -> None:
    assert newer.replaces(older)
    assert older is None or not older.replaces(newer)


def test_a_score_does_not_replace_itself() -> None:
    assert not learned(1, 3, 5).replaces(learned(1, 3, 5))


@given(st.data())
def test_the_order_of_arrival_and_repetition_change_nothing(data: st.DataObject) -> None:
    # Versions are published in order of time, as the score lock makes them.
    manual = data.draw(st.lists(st.integers(0, 50), unique=True, max_size=4))
    published = sorted(data.draw(st.lists(st.integers(0, 50), unique=True, max_size=4)))
    arrivals = [learned(i % 5, None, second) for i, second in enumerate(manual)]
    arrivals += [learned(i % 5, i + 1, second) for i, second in enumerate(published)]
    shuffled = data.draw(st.permutations(arrivals + arrivals[:2]))

    def all_of(scores: list[LearnedScore]) -> LearnedScores:
        return reduce(lambda known, score: known.with_score(("m", "simple"), score), scores, LearnedScores())

    assert all_of(shuffled) == all_of(arrivals)


def test_a_written_file_is_read_unchanged(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path / "state")
    scores = LearnedScores(epoch="e", cursor=4, version=7).with_score(("m", "simple"), learned(2.5, 7, 3))
    scores = scores.with_score(("n", "complex"), learned(0.0, None, 3))
    file.write(scores)
    assert file.read() == scores


def test_the_file_keeps_estimates(tmp_path: Path) -> None:
    estimate = Estimate(mean=0.84, n_eff=1204.0, probe_share=0.003, interval=(0.82, 0.86))
    score = replace(learned(4.1, 7, 3), estimate=estimate)
    scores = LearnedScores(epoch="e", version=7).with_score(("m", "simple"), score)
    LearnedScoresFile(tmp_path).write(scores)
    assert LearnedScoresFile(tmp_path).read() == scores


def test_a_file_of_the_previous_release_is_read(tmp_path: Path) -> None:
    """It has null for each part of an estimate that is missing."""
    file = LearnedScoresFile(tmp_path)
    file.path.write_text(
        '{"format": 1, "epoch": "e", "cursor": 4, "version": 7, "scores": [{"model": "m", "complexity": "simple",'
        ' "score": 2.5, "version": 7, "at": "2026-11-20T00:00:03+00:00", "reason": null, "mean": 0.84, "n_eff": 1204.0,'
        ' "probe_share": null}]}'
    )
    score = replace(learned(2.5, 7, 3), estimate=Estimate(mean=0.84, n_eff=1204.0))
    assert file.read() == LearnedScores(epoch="e", cursor=4, version=7, scores={("m", "simple"): score})


def test_a_file_without_estimates_is_read(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path)
    file.path.write_text(
        '{"format": 1, "epoch": "e", "cursor": 4, "version": 7, "scores": [{"model": "m", "complexity": "simple",'
        ' "score": 2.5, "version": 7, "at": "2026-11-20T00:00:03+00:00", "reason": null}]}'
    )
    assert file.read() == LearnedScores(epoch="e", cursor=4, version=7, scores={("m", "simple"): learned(2.5, 7, 3)})


@pytest.mark.parametrize(
    "fields",
    ['"mean": 1.2, "n_eff": 3', '"mean": 0.5', '"n_eff": 3', '"mean": 0.5, "n_eff": 0', '"mean": 0.5, "n_eff": 1e400',
     '"mean": true, "n_eff": 3', '"mean": "0.5", "n_eff": 3', '"probe_share": 1.5', '"probe_share": "x"',
     '"mean": NaN, "n_eff": 3', '"interval": [0.6, 0.5]', '"interval": [0.5]', '"interval": {"low": 0.1}'],
)  # fmt: skip
def test_a_file_with_an_impossible_estimate_is_damaged(tmp_path: Path, fields: str) -> None:
    file = LearnedScoresFile(tmp_path)
    file.path.write_text(
        '{"format": 1, "epoch": "e", "cursor": 4, "version": 7, "scores": [{"model": "m", "complexity": "simple",'
        f' "score": 2.5, "version": 7, "at": "2026-11-20T00:00:03+00:00", "reason": null, {fields}}}]}}'
    )
    assert file.read() == LearnedScores()


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert LearnedScoresFile(tmp_path).read() == LearnedScores()


@pytest.mark.parametrize(
    "content",
    ['{"format": 1, "epoch": "e", "cursor": 1e400, "version": 1, "scores": []}', "[" * 100_000,
     '{"format": 1, "epoch": 7, "cursor": 1, "version": 1, "scores": []}',
     '{"format": 1, "epoch": "e", "cursor": 1, "version": 1, "scores": [{"model": "m", "complexity": "simple",'
     ' "score": 1, "version": 1, "at": "0001-01-01T00:00:00+14:00", "reason": null}]}',
     '{"format": 1, "epoch": "e", "cursor": 1, "version": 1, "scores": [{"model": "m", "complexity": "simple",'
     ' "score": 1, "version": "15", "at": "2026-11-20T00:00:00+00:00", "reason": null}]}',
     "", "{", "[]", "null", '{"format": 2}', '{"format": 1, "epoch": "e", "cursor": 1, "version": 1, "scores": [{}]}',
     '{"format": 1, "epoch": "e", "cursor": 1, "version": 1, "scores": [{"model": "m", "complexity": "simple",'
     ' "score": 9, "version": 1, "at": "2026-11-20T00:00:00+00:00", "reason": null}]}'],
)  # fmt: skip
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: str) -> None:
    file = LearnedScoresFile(tmp_path)
    file.path.write_text(content)
    assert file.read() == LearnedScores()


def test_a_file_is_readable_by_its_owner_only_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path)
    file.write(LearnedScores())
    file.write(LearnedScores(cursor=1))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file.path]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path)
    file.write(LearnedScores(cursor=1))
    with pytest.raises(AttributeError):
        file.write(LearnedScores(cursor=2, scores={("m", "simple"): None}))  # type: ignore[dict-item]
    assert file.read().cursor == 1
    assert list(tmp_path.iterdir()) == [file.path]


def test_the_fingerprint_changes_with_every_write(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path)
    seen = [file.fingerprint()]
    for cursor in range(3):
        file.write(LearnedScores(cursor=cursor))
        seen.append(file.fingerprint())
    assert len(set(seen)) == len(seen)
