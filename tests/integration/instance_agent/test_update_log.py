"""The log of score updates, page by page: how much of it is read, and what a missing message or many old ones change."""

import tracemalloc

import psycopg
import pytest
from support.distribution import NewUpdater, learn_once, score_of, send_manual_score
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.forgetting import forget_models
from centralcloud.runtime.postgres.database import Database


@pytest.mark.parametrize("updates", [999, 1000, 1001, 2500])
def test_more_updates_than_one_page_are_all_read(new_updater: NewUpdater, database_url: str, updates: int) -> None:
    execute(
        database_url,
        """
        SELECT pgmq.send(
            'model_score_updates', jsonb_build_object('model', 'm' || n, 'complexity', 'simple', 'new_score', 1)
        )
        FROM generate_series(1, %s) n
        """,
        (updates,),
    )
    updater = new_updater("i-1")
    while updater.run_once():
        pass
    assert len(updater.learned.scores) == updates


def test_an_instance_far_behind_reads_some_megabytes_at_a_time(new_updater: NewUpdater, database_url: str) -> None:
    """A page is bounded in bytes, too; the instance acknowledges only when it has read everything."""
    updater = new_updater("i-1")
    updater.run_once()
    send = """
        SELECT pgmq.send('model_score_updates', jsonb_build_object(
            'model', 'm' || n, 'complexity', 'simple', 'new_score', 1, 'version', n, 'note', repeat('x', 200000)
        ))
        FROM generate_series(1, 40) AS n
    """
    execute(database_url, send)
    published = """
        INSERT INTO model_score_history (
            version, model_name, complexity_level, new_score, reason, rule, based_on_samples, after_slice, through_slice
        ) VALUES (40, 'm40', 'simple', 1, '', 'threshold', 0, 0, 0)
    """
    execute(database_url, published)  # no other version is acknowledged
    acknowledged = "SELECT applied_version FROM instances"
    tracemalloc.start()
    try:
        polls = 1
        while updater.run_once():
            assert execute(database_url, acknowledged) == [(0,)]
            assert len(updater.learned.scores) >= 10 * polls, "used at once"
            polls += 1
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert polls == 4
    assert len(updater.learned.scores) == 40
    assert execute(database_url, acknowledged) == [(40,)]
    assert peak_bytes < 6_000_000, "of 8 MB"


def test_pages_before_a_missing_message_are_read_to_the_end(new_updater: NewUpdater, database_url: str) -> None:
    """A reader that looks for a missing id reads again what is after it, which may be more than a page."""
    send = """
        SELECT pgmq.send(
            'model_score_updates', jsonb_build_object('model', 'm' || n, 'complexity', 'simple', 'new_score', 1)
        )
        FROM generate_series(1, %s) n
    """
    updater = new_updater("i-1")
    send_manual_score(database_url, 1)
    updater.run_once()
    execute(database_url, "SELECT nextval('pgmq.q_model_score_updates_msg_id_seq')")
    for _ in range(2):
        execute(database_url, send, (1200,))
        while updater.run_once():
            pass
        assert (
            updater.learned.cursor == execute(database_url, "SELECT max(msg_id) FROM pgmq.q_model_score_updates")[0][0]
        )
    assert len(updater.learned.scores) == 1201


def test_a_database_that_is_new_to_an_instance_gives_only_manual_scores_from_every_page(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    """Other messages of the log are older than the snapshot: a model that was removed must not come back."""
    execute(
        database_url,
        """
        SELECT pgmq.send('model_score_updates', jsonb_build_object(
            'model', 'removed' || n, 'complexity', 'simple', 'new_score', 1, 'version', 1
        ))
        FROM generate_series(1, 1500) n
        """,
    )
    learn_once(database, database_url)
    send_manual_score(database_url, 4, model="manual")
    updater = new_updater("i-1")
    while updater.run_once():
        pass
    assert {model for model, _ in updater.learned.scores} == {"gpt-4o", "manual"}


def test_forgotten_scores_stay_away_however_long_the_log_is(
    new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log keeps their messages, here beyond its first page; the removal is logged once, and not as another database."""
    learn_once(database, database_url)
    execute(
        database_url,
        """
        SELECT pgmq.send('model_score_updates', '{"model": "manual", "complexity": "complex", "new_score": 4}')
        FROM generate_series(1, 1000)
        """,
    )
    learn_once(database, database_url, model="gone")
    updater = new_updater("i-1", reconcile_interval_seconds=0)
    while updater.run_once():
        pass
    assert score_of(updater, "gone") == 2.3
    forget_models(database, ["gone"], OPERATOR)
    for _ in range(3):
        while updater.run_once():
            pass
        assert {model for model, _ in updater.learned.scores} == {"gpt-4o", "manual"}
    assert updater.learned.version == 1
    assert caplog.text.count("scores_removed") == 1
    assert "gone (complex)" in caplog.text
    assert "database_changed" not in caplog.text


def test_an_update_larger_than_a_message_is_refused_unread(
    new_updater: NewUpdater, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    send_manual_score(database_url, 1, model="large", note="x" * 300_000)
    send_manual_score(database_url, 2, model="ordinary")
    updater = new_updater("i-1")
    updater.run_once()
    assert score_of(updater, "large") is None
    assert score_of(updater, "ordinary") == 2
    assert updater.refused == 1
    assert "expected at most 262144 bytes" in caplog.text


def test_a_message_that_becomes_visible_late_is_read(new_updater: NewUpdater, database_url: str) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=3600)
    with psycopg.connect(database_url) as slow:
        slow.execute(
            'SELECT pgmq.send(\'model_score_updates\', \'{"model": "slow", "complexity": "simple", "new_score": 1}\')'
        )
        for _ in range(300):
            send_manual_score(database_url, 3.0, model="fast")
        updater.run_once()
        assert set(updater.learned.scores) == {("fast", "complex")}
        slow.commit()
    updater.run_once()
    assert set(updater.learned.scores) == {("fast", "complex"), ("slow", "simple")}


@pytest.mark.parametrize(
    "message",
    [
        {"new_score": "NaN"}, {"new_score": 1e308}, {"new_score": 5.01}, {"new_score": -0.01}, {"new_score": None},
        {"complexity": "urgent"}, {"model": ""}, {"version": -1}, {"version": "seven"}, {"event_type": "other"},
    ],
)  # fmt: skip
def test_an_invalid_update_changes_nothing(new_updater: NewUpdater, database_url: str, message: dict) -> None:
    updater = new_updater("i-1")
    send_manual_score(database_url, 3.25)
    updater.run_once()
    send_manual_score(database_url, **{"new_score": 1.0, **message})
    execute(
        database_url, "SELECT pgmq.send('model_score_updates', '[]'), pgmq.send('model_score_updates', NULL::jsonb)"
    )
    for _ in range(2):
        updater.run_once()
    assert (score_of(updater), len(updater.learned.scores)) == (3.25, 1)
    assert updater.refused == 3, "each is refused once, not at every poll"
    send_manual_score(database_url, 3.5)
    updater.run_once()
    assert score_of(updater) == 3.5
