"""Evidence by task type: gathered beside the evidence of pairs, for at most 32 task types, and recounted with it."""

import pytest
from support.events import an_event, outcomes
from support.history import pretend_all_came
from support.maintenance import ingest, maintain
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.forgetting import forget_models
from centralcloud.administration.models import rename_model
from centralcloud.administration.verification import repair, verify
from centralcloud.maintenance import maintenance
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice

_SUMS = """
    SELECT coalesce(name, 'other'), sum(successes)::int, sum(failures)::int
    FROM task_evidence LEFT JOIN task_types USING (task_no) GROUP BY 1 ORDER BY 1
"""


def _fill(database: Database, url: str, *types: str, model: str = "atlas") -> None:
    events = [event for name in types for event in outcomes(2, 1, selected_model=model, task_type=name)]
    ingest(database, url, [*events, an_event(task_type=types[0], selected_model=model), *outcomes(1, 0)])
    close_slice(database)


def test_outcomes_with_a_task_type_are_gathered_by_it(database: Database, database_url: str) -> None:
    _fill(database, database_url, "math", "law")
    blameless = an_event(outcome="failure", error_kind="caller", task_type="math")
    graded = an_event(outcome="failure", reward=0.25, task_type="math")
    ingest(database, database_url, [blameless, graded])
    close_slice(database)
    assert execute(database_url, _SUMS) == [("law", 2, 1), ("math", 2, 2)]
    assert execute(database_url, "SELECT sum(graded_reward) FROM task_evidence") == [(0.25,)]
    assert execute(database_url, "SELECT task_no, name, slice_no FROM task_types ORDER BY 1") == [
        (1, "math", 1),
        (2, "law", 1),
    ]
    assert verify(database).differences == []


def test_the_thirty_second_name_and_names_that_cannot_be_shown_are_other(database: Database, database_url: str) -> None:
    _fill(database, database_url, "other", "x" * 201, "a\u202eb", *(f"t{n:02}" for n in range(20)))
    _fill(database, database_url, *(f"t{n:02}" for n in range(31, 9, -1)))
    _fill(database, database_url, "t05", "late")
    names = [name for (name,) in execute(database_url, "SELECT name FROM task_types ORDER BY task_no")]
    assert names == [*(f"t{n:02}" for n in range(20)), *(f"t{n:02}" for n in range(31, 20, -1))]
    sums = {name: successes for name, successes, _ in execute(database_url, _SUMS)}
    assert len(sums) == 32
    assert (sums["t05"], sums["other"]) == (4, 2 * 5), "other: three names, t20, and late"
    assert verify(database).differences == []


@pytest.mark.parametrize(
    "breakage",
    [
        "UPDATE task_evidence SET successes = successes + 1 WHERE task_no = 1",
        "UPDATE task_evidence SET graded_reward = 0.5 WHERE task_no = 1",
        "DELETE FROM task_evidence WHERE task_no = 1",
        "UPDATE task_evidence SET instance_id = 'ghost' WHERE task_no = 1",
    ],
)
def test_verify_finds_and_repairs_changed_evidence(database: Database, database_url: str, breakage: str) -> None:
    _fill(database, database_url, "math", "law")
    before = execute(database_url, "SELECT * FROM task_evidence ORDER BY task_no")
    execute(database_url, breakage)
    found = verify(database).differences
    assert {each.table for each in found} == {"task_evidence"}
    repair(database, OPERATOR)
    assert verify(database).differences == []
    assert execute(database_url, "SELECT * FROM task_evidence ORDER BY task_no") == before


def test_slices_that_an_earlier_revision_gathered_have_no_evidence_by_task_type(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_WEIGHED_SLICES", 0)  # the newest slices are merged, too
    _fill(database, database_url, "math")
    execute(database_url, "DELETE FROM task_evidence; UPDATE evidence_slices SET by_task_type = false")
    for _ in range(2):
        _fill(database, database_url, "math", "law")
    assert verify(database).differences == []
    pretend_all_came(database_url, 40)
    _fill(database, database_url, "math")
    maintain(database, records_days=0)
    merged = "SELECT by_task_type, count(*) FROM evidence_slices WHERE slice_no <= 3 GROUP BY 1 ORDER BY 1"
    assert execute(database_url, merged) == [(False, 1), (True, 1)], "merged, but not with each other"
    assert verify(database).differences == []


def test_dropped_records_and_renamed_or_forgotten_models_keep_their_sums(database: Database, database_url: str) -> None:
    for model in ("atlas", "borealis", "zeta"):
        _fill(database, database_url, "math", "law", model=model)
    pretend_all_came(database_url, 120)
    _fill(database, database_url, "math", "law")
    maintain(database, records_days=90)
    assert execute(database_url, "SELECT count(*) FROM dropped_task_evidence") == [(6,)]
    assert verify(database).differences == []
    rename_model(database, "borealis", "atlas", OPERATOR)
    assert verify(database).differences == []
    forget_models(database, ["zeta"], OPERATOR)
    assert verify(database).differences == []
    of_models = "SELECT model_name, sum(successes)::int FROM task_evidence GROUP BY 1 ORDER BY 1"
    assert execute(database_url, of_models) == [("(other)", 4), ("atlas", 12)]
