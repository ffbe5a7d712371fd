"""Row-level security, which some managed services turn on by themselves: rows that are hidden are never taken for lost."""

import json
from collections.abc import Iterator

import pytest
from support.commands import run_command
from support.events import outcomes, send
from support.fleet import Fleet, a_fleet
from support.servers import execute

from centralcloud.contracts import CentralCloudError
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.monitoring.doctor import Expectations, examine, preflight
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database

#: Each of them, hidden, was taken for something else: lost records, new decisions, an empty queue, default settings.
_TABLES = ("routing_records", "decision_ids", "pgmq.q_model_routing_decisions", "fleet_settings", "evidence")


@pytest.fixture(scope="module")
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as one:
        send(one.admin, outcomes(100, 3))
        with Database(one.worker, application_name="tests") as worker:
            drain(worker, batch_size=1000)
            Learner(worker, [ThresholdRule()]).learn()  # gathers evidence
        yield one


@pytest.fixture
def hidden(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[str]:
    execute(fleet.admin, f"ALTER TABLE {request.param} ENABLE ROW LEVEL SECURITY")
    yield request.param
    execute(fleet.admin, f"ALTER TABLE {request.param} DISABLE ROW LEVEL SECURITY")


def kept(fleet: Fleet) -> list[tuple[int, int, int]]:
    """Return the number of records, that of evidence rows, and the ledger's count."""
    return execute(
        fleet.admin,
        "SELECT (SELECT count(*) FROM routing_records), (SELECT count(*) FROM evidence), (SELECT records FROM accounting)",
    )


@pytest.mark.parametrize("hidden", _TABLES, indirect=True)
def test_the_doctor_names_a_table_with_row_level_security_and_the_daemon_does_not_start(
    fleet: Fleet, hidden: str
) -> None:
    with Database(fleet.worker, application_name="tests") as worker:
        results = {result.check: result for result in examine(worker, Expectations())}
        assert results["row-level security"].verdict == Verdict.FAIL
        assert hidden in results["row-level security"].found
        others = [each for each in results.values() if each.verdict == Verdict.FAIL]
        assert others == [results["row-level security"]], "what it causes is skipped"
        with pytest.raises(CentralCloudError, match=f"row-level security: it would hide .*{hidden}"):
            preflight(worker)


@pytest.mark.parametrize("hidden", ["routing_records", "evidence"], indirect=True)
def test_a_repair_does_not_delete_what_row_level_security_hides(fleet: Fleet, hidden: str) -> None:
    before = kept(fleet)
    assert before[0][1] > 0
    for arguments in (["verify"], ["verify", "--repair", "--yes"], ["repair", "--yes"]):
        result = run_command("centralcloud", *arguments, env={"DATABASE_URL": fleet.worker})
        assert result.returncode == 1
        assert "row-level security" in result.stderr
        assert hidden in result.stderr
        assert result.stderr.count("\n") == 1
    assert kept(fleet) == before


@pytest.mark.parametrize("hidden", ["fleet_settings"], indirect=True)
def test_hidden_fleet_settings_do_not_become_defaults(fleet: Fleet, hidden: str) -> None:
    result = run_command("centralcloud", "settings", "--json", env={"DATABASE_URL": fleet.worker})
    assert result.returncode == 1
    assert f'row-level security policy for table "{hidden}"' in result.stderr


def test_forced_row_level_security_is_found_although_this_role_sees_every_row(fleet: Fleet) -> None:
    execute(fleet.admin, "ALTER TABLE accounting ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    try:
        doctor = run_command("centralcloud", "doctor", "--json", env={"DATABASE_URL": fleet.admin})
        checks = {each["check"]: each for each in json.loads(doctor.stdout)["checks"]}
        assert (checks["row-level security"]["verdict"], "accounting" in checks["row-level security"]["found"]) == (
            "FAIL", True,
        )  # fmt: skip
    finally:
        execute(fleet.admin, "ALTER TABLE accounting DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
