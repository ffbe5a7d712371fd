"""Real events through the commands: publish, drain, learn; every number equals an independent calculation over the file."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.commands import run_command
from support.recount import recount, threshold_score
from support.repository import REPOSITORY
from support.servers import execute

_SMALL = REPOSITORY / "tests" / "data" / "events.jsonl"
_REAL = REPOSITORY.parent / "shared" / "data" / "events_bfcl.jsonl.gz"


@pytest.fixture(params=["small", "real"])
def events_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "small":
        yield _SMALL
        return
    if not _REAL.exists():
        pytest.skip(f"the real data set is not at {_REAL}")
    file = tmp_path / "events.jsonl"
    file.write_bytes(gzip.decompress(_REAL.read_bytes()))
    yield file


def test_every_number_equals_an_independent_calculation(events_file: Path, database_url: str) -> None:
    events = [json.loads(line) for line in events_file.read_text().splitlines()]
    expected = recount(events)
    env = {"DATABASE_URL": database_url}

    def json_of(*command: str):
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    published = run_command("centralcloud", "publish", str(events_file), env=env)
    assert (published.returncode, published.stdout) == (0, f"sent {len(events):,} events to model_routing_decisions\n")
    drained = json_of("drain", "--json")
    assert (drained["events"], drained["records"]) == (len(events), len(events))
    assert (drained["duplicates"], drained["dead_letters"]) == (0, 0)
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(len(events),)]

    metrics = {(row["model"], row["complexity"]): row for row in json_of("metrics", "--json")}
    assert set(metrics) == set(expected.pairs)
    for key, pair in expected.pairs.items():
        row = metrics[key]
        assert (row["usage_count"], row["routed_count"]) == (pair.usage, pair.routed), key
        assert (row["success_count"], row["failure_count"]) == (pair.success, pair.failure), key
        assert (row["response_time_count"], row["response_time_sum_ms"]) == (len(pair.times), sum(pair.times)), key
        assert row["success_rate"] == pytest.approx(pair.success / (pair.success + pair.failure)), key
        assert row["avg_response_time"] == pytest.approx(sum(pair.times) / len(pair.times)), key

    dry_run, run = json_of("learn", "--dry-run", "--json"), json_of("learn", "--json")
    assert dry_run["run_id"] is None
    assert run["run_id"] is not None
    changes = {(change["model"], change["complexity"]): change for change in run["changes"]}
    assert len(dry_run["changes"]) == len(changes)
    scores = {(row["model"], row["complexity"]): row for row in json_of("scores", "--json")}
    for key, pair in expected.pairs.items():
        score = threshold_score(pair)
        if score is None:
            assert key not in scores
            continue
        assert Decimal(str(scores[key]["score"])) == score, key
        change = changes.pop(key, None)
        if score != Decimal(str(pair.last_score)):
            assert change is not None, key
            assert Decimal(str(change["old_score"])) == Decimal(str(pair.last_score)), key
            assert Decimal(str(change["new_score"])) == score, key
            assert change["based_on_samples"] == pair.success + pair.failure, key
            assert change["reason"] == scores[key]["reason"], key
    assert changes == {}
    assert json_of("learn", "--json")["changes"] == []
