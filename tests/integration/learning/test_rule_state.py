"""The typed state of rules: SQL reads its columns, never the payload; workers of earlier revisions still understand it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from support.events import outcomes, send
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.models import rename_model
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_overrides import pin, roll_back
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.learning.rule_scores import read_rule_scores
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.maintenance import maintenance
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.rule_state_upgrade import RuleStateError
from centralcloud.store.schema import downgrade, migrate
from centralcloud.store.slices import References, close_slice

PAIR = ("gpt-4o", "complex")
RULES: list[Rule] = [AdaptiveRule(), ThresholdRule()]
#: The upsert of revision 0005 in short: it names `state`, and none of the columns of revision 0007.
OLD_UPSERT = """
    INSERT INTO rule_scores AS r (
        rule, model_name, complexity_level, score, kind, reason, based_on_samples, after_slice, through_slice, state
    ) VALUES (%(rule)s, 'gpt-4o', 'complex', 4, 'steady', 'old code', 1, 0, 1, %(state)s)
    ON CONFLICT (rule, model_name, complexity_level) DO UPDATE SET
        score = excluded.score, reason = excluded.reason, state = excluded.state
"""
TYPED = "evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable"


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maintenance merge the slices of a test although they are among the newest ones."""
    monkeypatch.setattr(maintenance, "_WEIGHED_SLICES", 0)


def learn(database: Database, url: str, *counts: tuple[int, int], rules: list[Rule] = RULES) -> None:
    """Run the learner after each of these (successes, failures)."""
    for successes, failures in counts:
        send(url, outcomes(successes, failures))
        drain(database, batch_size=1000)
        Learner(database, rules).learn(force=True)


def merge(database: Database, url: str) -> set[int]:
    """Let maintenance merge slices that are all 900 days old; return the closed slices that are left."""
    execute(
        url,
        """
        UPDATE evidence_slices
        SET opened_at = opened_at - interval '900 days', closed_at = closed_at - interval '900 days'
        """,
    )
    Maintenance(database).run_once()
    return {row[0] for row in execute(url, "SELECT slice_no FROM evidence_slices WHERE closed_at IS NOT NULL")}


def typed(url: str, rule: str = "adaptive", table: str = "rule_scores") -> tuple[Any, ...]:
    return execute(url, f"SELECT {TYPED} FROM {table} WHERE rule = %s", (rule,))[0]


@pytest.mark.usefixtures("small_slices")
def test_only_the_typed_boundaries_keep_slices_apart(database: Database, database_url: str) -> None:
    for _ in range(9):
        send(database_url, outcomes(5, 0))
        drain(database, batch_size=100)
        close_slice(database)
    execute(
        database_url,
        """
        INSERT INTO rule_scores (
            rule, model_name, complexity_level, score, kind, reason, based_on_samples, after_slice, through_slice,
            evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable
        ) VALUES ('installed', 'gpt-4o', 'complex', 4, 'steady', 'r', 1, 0, 9, 4, '{2, 6}', %s, '{}', true)
        """,
        (Jsonb({"after_slice": 3, "before": {"after_slice": 7}, "excluded": "all", "alarm": 1, "fallen_from": 5}),),
    )
    assert merge(database, database_url) == {2, 4, 6, 9}


@pytest.mark.usefixtures("small_slices")
def test_every_slice_that_a_state_may_return_to_stays_a_boundary(database: Database, database_url: str) -> None:
    """After two falls in quick succession, a quarantine may take the alarms back one by one."""
    learn(database, database_url, *[(98, 2)] * 4, *[(60, 40)] * 2, *[(10, 90)] * 2)
    with database.transaction() as connection:
        state = read_rule_scores(connection)["adaptive"][PAIR].basis.state
    boundaries = {state.evidence_from, *state.earlier_boundaries} - {0}
    assert len(boundaries) == 2, "the second fall, and the first one"
    left = merge(database, database_url)
    assert boundaries <= left
    assert len(left) < 8, "and the others were merged"
    assert audit_scores(database, RULES).differences == []


@pytest.mark.parametrize(
    ("rule", "state", "expected"),
    [
        ("threshold", {"score": "4.000", "after_slice": 7, "from": "3.700"},
         (7, [], {"score": "4.000", "from": "3.700"}, [], True)),
        ("threshold", {"score": "4.000", "after_slice": 7}, (7, [], {"score": "4.000"}, [], False)),
        ("adaptive", {"parts": [0.9, 0, 0], "excluded": ["i-1"]}, (0, [], {"parts": [0.9, 0, 0]}, ["i-1"], True)),
        (
            "adaptive",
            {"after_slice": 9, "parts": [1, 0, 0], "excluded": [],
             "before": {"after_slice": 5, "before": {"after_slice": 2}}},
            (9, [2, 5], {"parts": [1, 0, 0], "before": {"after_slice": 5, "before": {"after_slice": 2}}}, [], True),
        ),
        ("installed", {"mine": 1}, (0, [], {"mine": 1}, [], True)),
        ("installed", {}, (0, [], {}, [], False)),
    ],
)  # fmt: skip
def test_a_state_that_an_old_worker_writes_is_read_by_new_ones(
    database_url: str, rule: str, state: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    execute(database_url, OLD_UPSERT, {"rule": rule, "state": Jsonb(state)})
    assert typed(database_url, rule) == expected
    assert execute(database_url, "SELECT state FROM rule_scores") == [(state,)], "as the old worker wrote it"


def test_a_state_that_an_old_worker_overwrites_is_replaced_completely(database: Database, database_url: str) -> None:
    learn(database, database_url, *[(98, 2)] * 4, (10, 90))
    evidence_from, *_ = typed(database_url)
    assert evidence_from == 4
    old = {"after_slice": 1, "parts": [0.5, 0, 0], "excluded": ["i-1"]}
    execute(database_url, OLD_UPSERT, {"rule": "adaptive", "state": Jsonb(old)})
    assert typed(database_url) == (1, [], {"parts": [0.5, 0, 0]}, ["i-1"], True)
    learn(database, database_url, (1, 0))
    assert typed(database_url)[3] == [], "a new worker goes on from there"


@pytest.mark.parametrize("rules", [RULES, RULES[::-1]])
def test_a_state_that_a_new_worker_writes_is_read_by_old_ones(
    database: Database, database_url: str, rules: list[Rule]
) -> None:
    learn(database, database_url, *[(98, 2)] * 4, (10, 90), rules=rules)
    for table in ("rule_scores", "model_scores"):
        for rule in ("adaptive", "threshold"):
            found = execute(database_url, f"SELECT state, {TYPED} FROM {table} WHERE rule = %s", (rule,))
            for state, evidence_from, _, payload, excluded, _ in found:
                assert state == {**payload, "after_slice": evidence_from, "excluded": excluded}
    # The state that an old worker writes is read without a loss.
    ((state,),) = execute(database_url, "SELECT state FROM rule_scores WHERE rule = 'adaptive'")
    before = typed(database_url)
    execute(database_url, OLD_UPSERT, {"rule": "adaptive", "state": Jsonb({**state, "note": 1})})
    execute(database_url, OLD_UPSERT, {"rule": "adaptive", "state": Jsonb(state)})
    assert typed(database_url) == before


def test_a_score_of_a_merged_model_is_not_recomputed_by_any_worker(database: Database, database_url: str) -> None:
    learn(database, database_url, (98, 2))
    execute(database_url, "UPDATE rule_scores SET recomputable = false")
    keys = {key for (state,) in execute(database_url, "SELECT state FROM rule_scores") for key in state}
    assert keys.isdisjoint({"from", "parts"}), "an old worker recomputes a score that has these"


def test_the_migration_and_its_downgrade_lose_no_state(database: Database, database_url: str) -> None:
    learn(database, database_url, *[(98, 2)] * 4, (60, 40), (10, 90))
    everything = f"SELECT rule, {TYPED} FROM rule_scores ORDER BY rule"
    before = execute(database_url, everything)
    downgrade(database, "0006")
    states = execute(database_url, "SELECT state FROM rule_scores")
    assert all("after_slice" in state for (state,) in states), json.dumps(states)
    migrate(database)
    assert [(*row[:2], sorted(row[2]), *row[3:]) for row in before] == execute(database_url, everything)
    learn(database, database_url, (1, 0))
    assert audit_scores(database, RULES).differences == []


class _ForeignRule(ThresholdRule):
    """A rule that is not built in: revision 0007 does not know the keys of its state."""

    name = "foreign"


@pytest.mark.parametrize("change", ["merge", "rollback", "pin"])
def test_a_downgrade_and_an_upgrade_keep_scores_of_operators_out_of_the_audit(
    database: Database, database_url: str, change: str
) -> None:
    rules: list[Rule] = [_ForeignRule(), AdaptiveRule()]

    def ingest(*events: list[dict]) -> None:
        send(database_url, [event for each in events for event in each])
        drain(database, batch_size=1000)
        Learner(database, rules).learn(force=True)

    ingest(outcomes(98, 2, selected_model="old"), outcomes(80, 20, selected_model="new"))
    ((version,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    ingest(outcomes(0, 300, selected_model="old"), outcomes(300, 0, selected_model="new"))
    if change == "merge":
        rename_model(database, "old", "new", OPERATOR)
    elif change == "rollback":
        roll_back(database, rules, version, References(), OPERATOR)
    else:
        pin(database, ("new", "complex"), Decimal("1.5"), None, OPERATOR)
    flags = """
        SELECT 'published', rule, model_name, recomputable FROM model_scores
        UNION ALL SELECT 'of rule', rule, model_name, recomputable FROM rule_scores ORDER BY 1, 2, 3
    """
    before = execute(database_url, flags)
    assert audit_scores(database, rules).differences == []
    downgrade(database, "0006")
    migrate(database)
    assert execute(database_url, flags) == before
    assert audit_scores(database, rules).differences == []


@pytest.mark.parametrize("state", [{"after_slice": 1e30}, {"after_slice": 3, "ago": [{"after_slice": -1e25}]}])
@pytest.mark.parametrize("table", ["rule_scores", "model_scores"])
def test_a_state_that_the_upgrade_cannot_take_is_named_in_one_line(
    database: Database, database_url: str, state: dict[str, Any], table: str
) -> None:
    learn(database, database_url, (98, 2))
    downgrade(database, "0006")
    execute(
        database_url,
        f"UPDATE {table} SET rule = 'mine\x1b', state = %s WHERE rule = 'adaptive'",
        (Jsonb(state),),
    )
    with pytest.raises(RuleStateError) as refused:
        migrate(database)
    message = str(refused.value)
    assert message.startswith(f"{table}: the state of rule mine\\x1b for gpt-4o (complex) has after_slice ")
    assert message.endswith("correct the column `state` or delete the row, then migrate again")
    assert "\n" not in message
    execute(
        database_url,
        f"UPDATE {table} SET rule = 'mine', state = %s WHERE rule LIKE 'mine%%'",
        (Jsonb({"after_slice": 2**63 - 1}),),
    )
    migrate(database)
