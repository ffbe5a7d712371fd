"""The pages Scores and Pair, from a real database to HTML."""

import asyncio
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from support.events import an_event
from support.maintenance import ingest
from support.servers import execute

from centralcloud.dashboard.pages import pair, scores
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.sources.pair import PAIR_OUTCOMES, InstanceOutcomes, Outcomes, PairState
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.dashboard.web.rendering import Renderer
from centralcloud.monitoring.reports import score_history
from centralcloud.runtime.postgres.database import Database

_HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def learned(database_url: str) -> str:
    """URL of a database in which two models were scored in 12 runs, one of them changed in run 6, and one is pinned."""
    execute(
        database_url,
        """
        CREATE TEMP TABLE names AS
            SELECT * FROM (VALUES ('ace', 1), ('<script>alert(''x'')</script>', 2)) AS model (model, place),
                unnest(ARRAY['simple', 'complex']) WITH ORDINALITY AS complexity (complexity, number);
        INSERT INTO fleet_settings (name, value) VALUES ('rule', '"adaptive"')
            ON CONFLICT (name) DO UPDATE SET value = excluded.value;
        INSERT INTO model_routing_metrics (model_name, complexity_level, unlinked_routed_count)
            SELECT model, complexity, 100 FROM names;
        INSERT INTO model_score_history (
            version, model_name, complexity_level, old_score, new_score, reason, rule, kind, run_id, based_on_samples,
            success_rate, mean, low, high, latency_penalty, cost_penalty, window_start, after_slice, through_slice,
            created_at
        )
        SELECT
            4 * (run - 1) + 2 * (place - 1) + number, model, complexity, 4 - (run - 1) * 0.01, 4 - run * 0.01,
            CASE WHEN run >= 6 AND place = 1
                THEN '4.000; the mean changed then from 0.95 to 0.60 (G is 39)' ELSE 'steady' END,
            'adaptive',
            CASE WHEN run >= 6 AND place = 1 THEN 'alarm' ELSE 'steady' END, run, 100 * run, 0.9, 0.85, 0.8, 0.9, 0.02, 0.01,
            CASE WHEN run >= 6 AND place = 1 THEN now() - interval '7 hours' ELSE now() - interval '2 days' END, 0, run,
            now() - (13 - run) * interval '1 hour'
        FROM names, generate_series(1, 12) AS run;
        INSERT INTO model_score_history (
            version, model_name, complexity_level, old_score, new_score, reason, rule, kind, based_on_samples, after_slice,
            through_slice, created_at
        ) VALUES (50, 'ace', 'simple', 3.88, 1.5, 'pinned at 1.500 by an operator', 'pin', 'pin', 0, 12, 12, now());
        INSERT INTO model_scores (
            model_name, complexity_level, score, version, reason, rule, based_on_samples, evaluated_through_slice,
            mean, low, high, updated_at
        )
        SELECT DISTINCT ON (model_name, complexity_level)
            model_name, complexity_level, new_score, version, reason, rule, based_on_samples, through_slice, mean, low, high,
            created_at
        FROM model_score_history ORDER BY model_name, complexity_level, version DESC;
        INSERT INTO rule_scores (
            rule, model_name, complexity_level, score, kind, reason, based_on_samples, success_rate, mean, low, high,
            latency_penalty, cost_penalty, after_slice, through_slice
        )
        SELECT
            rule, model, complexity, score, 'steady', rule || ' says', 1200, 0.9, mean, mean - 0.05, mean + 0.05, 0, 0, 0, 1
        FROM names, (VALUES ('adaptive', 3.88, 0.85), ('threshold', 5.0, NULL)) AS by (rule, score, mean);
        INSERT INTO score_pins (model_name, complexity_level, score) VALUES ('ace', 'simple', 1.5);
        INSERT INTO operator_actions (who, via, source, action, subject, reason, version)
            VALUES ('ann', 'cli', 'host', 'pin', 'ace/simple', 'too slow', 50);
        """,
    )
    return database_url


def show(database: Database, page: Page, **query: str) -> tuple[Models, str]:
    """Return the models of a page and the HTML of its fragments."""
    with database.transaction() as connection:
        values = {source.name: source.read(connection) for source in page.sources}
    now = datetime.now(UTC)
    zone = ZoneInfo("Europe/Berlin")

    async def build() -> Models:
        context = PageContext(Snapshot(1, now, values), query, zone, now, Lookups(database))
        first = await page.build(context)
        again = await page.build(context)
        assert dict(first) == dict(again), "equal values make equal models, or every second would send the page again"
        return first

    models = asyncio.run(build())
    renderer = Renderer(Assets(), [page])
    return models, "".join(renderer.fragment(page, name, model, zone) for name, model in models.items())


@pytest.mark.usefixtures("learned")
def test_scores_says_what_is_known_what_differs_and_what_changed(database: Database) -> None:
    models, html = show(database, scores.PAGE)
    assert "Every score rests on enough outcomes" in html
    assert "ace / simple is pinned" in html
    assert "Both rules agree" in html
    assert "A run of the learner changed 4 scores" in html
    assert "Pinned" in html
    assert "<script>" not in html
    assert models["changes"].older_url is None  # type: ignore[attr-defined]


@pytest.mark.usefixtures("learned")
def test_changes_are_filtered_by_model_complexity_and_kind(database: Database) -> None:
    def versions(**query: str) -> list[int]:
        models, _ = show(database, scores.PAGE, **query)
        return [row.version for group in models["changes"].groups for row in group.rows]  # type: ignore[attr-defined]

    assert versions(kind="pin") == [50]
    assert versions(model="SCRIPT", complexity="complex", before="20") == [16, 12, 8, 4]
    assert versions(kind="alarm") == [22, 21], "the run that noticed the change, not those after it"
    assert versions(model="nothing like it") == []
    assert versions(model="\0", before="no number", kind="no kind", complexity="no complexity")[0] == 50


@pytest.mark.usefixtures("learned")
def test_a_pair_shows_its_alarm_its_pin_with_who_and_why_and_both_rules(database: Database) -> None:
    models, html = show(database, pair.PAGE, model="ace", complexity="simple")
    assert [(event.title, event.version) for event in models["score"].events] == [  # type: ignore[attr-defined]
        ("Sudden change", 21),
        ("Pinned", 50),
    ]
    assert "the success rate fell from 0.95 to 0.60" in html
    assert re.search(r"pinned at 1.500 by an operator \(ann as \w+: too slow\)", html)
    assert "The rule adaptive would publish 3.88" in html
    assert "threshold says" in html
    assert "centralcloud scores unpin --reason &#39;why&#39; ace simple" in html


@pytest.mark.usefixtures("learned")
def test_a_hostile_name_is_escaped_and_its_page_is_found(database: Database) -> None:
    _, html = show(database, pair.PAGE, model=_HOSTILE, complexity="complex", range="all")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.usefixtures("learned")
def test_a_range_begins_with_the_score_that_stood_at_its_start(database: Database) -> None:
    with database.transaction() as connection:
        steps = pair.PAIR_STEPS.read(connection, "ace", "complex", 3, 0)
    assert [step.version for step in steps] == [38, 42, 46], "published 3, 2 and 1 hours ago"
    with database.transaction() as connection:
        assert len(pair.PAIR_STEPS.read(connection, "ace", "complex", None, 0)) == 12


def test_a_long_history_is_thinned_and_keeps_its_jumps(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO model_score_history (
            version, model_name, complexity_level, new_score, reason, rule, based_on_samples, after_slice, through_slice,
            created_at
        )
        SELECT n, 'ace', 'simple', CASE WHEN n = 1777 THEN 1 ELSE 4 END, '', 'threshold', 100, 0, 1,
            now() - (5000 - n) * interval '1 minute'
        FROM generate_series(1, 5000) AS n
        """,
    )
    with database.transaction() as connection:
        steps = pair.PAIR_STEPS.read(connection, "ace", "simple", None, 0)
    assert len(steps) < 700
    assert {1, 1777, 1778, 5000} <= {step.version for step in steps}


@pytest.mark.parametrize(
    "query",
    [{}, {"model": "ace"}, {"model": "ace", "complexity": "hard"}, {"model": "unheard", "complexity": "simple"}],
)
def test_an_unknown_pair_is_an_error_with_the_command_that_lists_pairs(
    database: Database, query: dict[str, str]
) -> None:
    with pytest.raises(PageError) as caught:
        show(database, pair.PAGE, **query)
    assert caught.value.status == 404
    assert caught.value.command == "centralcloud metrics"


def test_a_database_without_scores_says_so(database: Database) -> None:
    _, html = show(database, scores.PAGE)
    assert "No score was published yet" in html


def test_a_pair_without_a_score_shows_what_its_instances_report(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO model_routing_metrics (model_name, complexity_level, last_reported_score) VALUES ('new', 'simple', 2.5)
        """,
    )
    _, html = show(database, pair.PAGE, model="new", complexity="simple")
    assert "No score was published for it yet. Instances report 2.50." in html
    assert "No rule has scored this pair yet" in html


@pytest.mark.usefixtures("learned")
def test_the_history_of_the_command_names_an_alarm_once_as_the_page_does(database: Database) -> None:
    with database.transaction() as connection:
        rows = score_history(connection, model="ace", complexity="simple", limit=100)
    kinds = {row["version"]: row["kind"] for row in rows}
    assert [version for version, kind in kinds.items() if kind == "alarm"] == [21]
    assert kinds.pop(50) == "pin"
    assert set(kinds.values()) == {"alarm", "steady"}, "the other rows of the window moved by outcomes"


@pytest.mark.usefixtures("learned")
def test_kinds_of_failures_say_their_time_where_they_are_not_those_of_the_day(
    database: Database, database_url: str
) -> None:
    def outcomes() -> Outcomes:
        with database.transaction() as connection:
            return PAIR_OUTCOMES.read(connection, "ace", "simple")

    failed = {"selected_model": "ace", "complexity": "simple", "outcome": "failure"}
    ingest(database, database_url, [an_event("i-1", error_kind="timeout", **failed), an_event("i-1", **failed)])
    found, html = outcomes(), show(database, pair.PAGE, model="ace", complexity="simple")[1]
    assert (found.errors, found.errors_since) == ((("", 1), ("timeout", 1)), None)
    assert re.search(r"<h3>Failures by kind</h3>.*Timeout.*>1<", html, re.DOTALL)

    execute(
        database_url,
        """
        INSERT INTO routing_records (timestamp, instance_id, complexity, model, provider, score, outcome, slice_no)
        SELECT now(), 'i-2', 'complex', 'other', 'p', 1, 'routed', 1 FROM generate_series(1, 20000)
        """,
    )
    found = outcomes()
    assert found.errors == ()
    assert found.errors_since is not None
    shown = pair.outcomes_view(
        found._replace(instances=(InstanceOutcomes("i-1", 5, 1, 1),)),
        PairState(None, (), None, None, None, None, None, None, None, ()),
        {},
    )
    html = Renderer(Assets(), [pair.PAGE]).fragment(pair.PAGE, "outcomes", shown, ZoneInfo("UTC"))
    assert re.search(r"<h3>Failures by kind since <time", html)
    assert "None since then: the 2 failures of the 24 hours came before." in html
