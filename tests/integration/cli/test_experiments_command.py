"""`centralcloud experiments`: from options and files to entries, and results in sentences and tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from support.servers import execute
from typer.testing import CliRunner

from centralcloud.cli.app import app
from centralcloud.contracts import CentralCloudError

Run = Callable[..., str]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of `centralcloud experiments`, and return its standard output."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("b", "c"):
        insert = "INSERT INTO model_routing_metrics (model_name, complexity_level) VALUES (%s, 'simple')"
        execute(database_url, insert, (name,))

    def run_one(*arguments: str, fails: bool = False, stdin: str | None = None) -> str:
        result = CliRunner().invoke(app, ["experiments", *arguments], input=stdin)
        if fails:
            assert result.exit_code != 0, result.stdout
            assert isinstance(result.exception, CentralCloudError), result.exception
            return f"{result.exception.exit_code}: {result.exception}"
        assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
        return result.stdout

    return run_one


def test_options_a_file_and_both_ask_for_the_same(run: Run, tmp_path: Path) -> None:
    options = (
        "--name", "Try b", "--model", "b", "--complexity", "simple", "--task-type", "review", "--steps", "2,50%",
        "--margin", "1.5", "--dwell", "5m", "--timeout", "2m", "--slo", "5s", "--no-worse", "--set", "retries=0",
    )  # fmt: skip
    file = tmp_path / "b.yaml"
    file.write_text(
        "name: Try b\ntreatments: [{model: b}]\nscope: {complexities: [simple], taskTypes: [review]}\n"
        "plan: {steps: [0.02, 0.5], margin: 0.015, dwellSeconds: 300, outcomeWithinSeconds: 180, sloMs: 5000, "
        "requireBetter: false, retries: 0}\n"
    )
    asked = [
        json.loads(run("start", *arguments, "--dry-run", "--json", stdin=stdin))["experiment"]
        for arguments, stdin in (
            (options, None),
            ((str(file),), None),
            (("-",), file.read_text().replace("Try b", "C")),
            ((str(file), "--set", "retries=1", "--name", "C"), None),
        )
    ]
    for each in asked:
        for name in ("id", "salt", "stage"):
            each.pop(name)
    assert asked[0] == asked[1]
    assert asked[2] == {**asked[1], "name": "C"}
    assert asked[3]["plan"] == {**asked[1]["plan"], "retries": 1}
    assert json.loads(run("list", "--all", "--json")) == []


def test_an_experiment_goes_its_way_in_words(run: Run) -> None:
    said = run("start", "--model", "b", "--model", "c", "--ab", "--reason", "curious")
    assert "the A/B test b-and-c-" in said
    assert "b, c against control, 33.3% of the sessions each" in said
    assert "the model c is not registered" in said
    name = said.split("the A/B test ")[1].split(",")[0]
    assert "every session goes to control" in run("pause", name)
    assert "33.3% of the sessions, once those from before have ended" in run("resume", "b and c")
    assert "expected the name of one: b, c" in run("promote", name, fails=True)
    assert "every session of its scope goes to c" in run("promote", name, "c", "--reason", "it is cheaper")
    assert run("list").startswith("no experiment runs")
    assert "promoted" in run("list", "--all")
    shown = json.loads(run("show", name, "--json"))
    assert shown["sentences"][0].endswith("promoted by hand: it is cheaper")
    assert [each["reason"] for each in shown["history"]] == ["curious", None, None, "it is cheaper"]
    assert "--yes is required" in run("remove", name, fails=True)
    assert "its verdicts stay" in run("remove", name, "--yes")
    assert run("stop", name, fails=True).startswith("1: found no experiment")
    assert 'found no experiment "b and c"' in run("show", "b and c", fails=True)


#: The arguments of `start`, and what is said about them.
MISTAKES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), "2: found no treatment, expected --model, --policy, --score-table, --rule or a FILE with some"),
    (("--model", "b", "--steps", "1,half"), '--steps: found "half", expected percentages'),
    (("--model", "b", "--steps", "50,10"), "2: experiment.plan.steps: found 0.5, 0.1, expected shares that grow"),
    (("--model", "b", "--steps", "60"), '--steps: found "60", expected percentages up to 50'),
    (("--model", "b", "--steps", "nan"), '--steps: found "nan", expected percentages'),
    (("--model", "b", "--set", "retry=1"), '--set: found "retry=1", expected FIELD=VALUE with a field of the plan'),
    (("--model", "b", "--set", "retries=one"), "expected a value in JSON"),
    (("--model", "b", "--margin", "150"), "2: --margin: found 150, expected points of success above 0 and below 100"),
    (("--model", "b", "--alpha", "2"), "2: --alpha: found 2, expected a probability above 0 and below 1"),
    (("--model", "b", "--set", "retries=-1"), "2: experiment.plan.retries: found -1"),
    (("--model", "bb"), '1: experiment.treatments[0].model: found "bb", expected a model that is registered or'),
    (("--model", "gpt"), "has had requests: b, c; --any-model where only the catalog of a gateway has it"),
    (("--model", ""), "2: --model is empty: expected the name of a model"),
    (("--score-table", ""), "2: --score-table is empty: expected rule:NAME, version:N, time:TIME or a file"),
    (
        ("--model", "b", "--policy", "p"),
        "2: experiment.treatments: found 2 items, expected one: a canary has a single",
    ),
    (
        ("--policy", "p"),
        '.policy: found "p", expected the name of a policy in routingPolicies: there is none yet',
    ),
    (("--score-table", "rule:mine"), 'found no scores of a rule "mine", expected a rule that has some: none yet'),
    (("--score-table", "version:x"), "expected version:N with the number of a version"),
    (("--score-table", "version:7"), "found no version 7"),
    (("--score-table", "none.json"), "--score-table: cannot read none.json: No such file or directory"),
    (("--rule", "none"), '1: rule: found "none", expected the id of a rule with a trafficSplit: none has one'),
    (("",), "FILE is empty: expected the path of a file, or no FILE"),
    (("none.yaml",), "FILE: cannot read none.yaml: No such file or directory"),
    (("-",), "FILE: found a list of 1 items in -, expected an object with name and treatments"),
)


def test_a_mistake_is_one_line(run: Run) -> None:
    for arguments, message in MISTAKES:
        said = run("start", *arguments, fails=True, stdin="[1]")
        assert message in said, arguments
        assert len(said.splitlines()) == 1


#: Files that are YAML and not an experiment, and what is said about them.
WRONG_TYPES = (
    ("name: a\nscope: simple\ntreatments: [{model: b}]", 'experiment.scope: found "simple", expected an object'),
    ("name: a\nscope: [simple]\ntreatments: [{model: b}]", "experiment.scope: found a list of 1 items"),
    ("treatments: 7", "experiment.treatments: found 7, expected a list"),
    ("treatments:", "experiment.treatments: found null, expected a list"),
    (
        "name: a\nplan: {margin: 0.01}\nname: b",
        '2: FILE: found the key "name" a second time in -, line 3, expected each key once',
    ),
    ('{"plan": {"alpha": 0.1,\n"alpha": 0.2}}', 'found the key "alpha" a second time in -, line 2'),
    (
        'name: a\nscope: {workspaces: ["a\\0b"]}\ntreatments: [{model: b}]',
        'experiment.scope.workspaces[0]: found "a\\x00b", expected 1 to 200 characters',
    ),
)


def test_a_scope_that_does_not_exist_is_wrong_input(run: Run) -> None:
    wrong = (
        (("--complexity", "hard"), 'complexities[0]: found "hard"'),
        (("--task-type", ""), 'taskTypes[0]: found ""'),
    )
    for scope, words in wrong:
        refused = run("start", "--model", "b", *scope, fails=True)
        assert refused.startswith("2: experiment.scope."), refused
        assert words in refused


def test_a_file_with_a_value_of_another_type_is_one_line(run: Run) -> None:
    for text, message in WRONG_TYPES:
        said = run("start", "-", fails=True, stdin=text)
        assert message in said
        assert len(said.splitlines()) == 1


def facts(low: float, high: float, above: float, below: float, control: float, treated: float) -> dict[str, Any]:
    arms = {"control": (9000, 9000 * control), "treatment": (9240, 9240 * treated)}
    means = {arm: {"outcomes": count, "sum": total, "mean": total / count} for arm, (count, total) in arms.items()}
    between = [low, high]
    return {"interval": between, "possible": between, "alpha": 0.05, "log_above": above, "log_below": below, **means}


def counts(requests: int, sessions: int, aborts: int) -> dict[str, Any]:
    per_session = requests / sessions
    return {
        "requests": requests, "sessions": sessions, "folded_sessions": sessions, "aborts": aborts,
        "requests_per_session": per_session,
    }  # fmt: skip


COMPARISON = {"control": counts(9000, 2300, 3), "treatment": counts(9240, 2310, 5), "late_dropped": 7}


def store(url: str, experiment: str, treatment: int, **metrics: dict[str, Any]) -> None:
    execute(
        url,
        "INSERT INTO experiment_progress (experiment_id, began, folded_until, prompted_id, step, retries, state) "
        "VALUES (%s, now(), now(), 0, 0, 0, '\\x01') ON CONFLICT DO NOTHING",
        (experiment,),
    )
    for metric, known in metrics.items():
        execute(
            url,
            "INSERT INTO experiment_results (experiment_id, treatment, metric, facts) VALUES (%s, %s, %s, %s)",
            (experiment, treatment, metric, Jsonb(known)),
        )


def test_results_are_sentences_and_a_table(run: Run, database_url: str) -> None:
    begun = json.loads(run("start", "--model", "b", "--name", "one", "--json"))["experiment"]["id"]
    assert "b against control, 1.0% of the sessions\n" in run("start", "--model", "b", "--dry-run")
    assert "steps 0.01%, 0.05%;" in run("start", "--model", "b", "--steps", "0.01,0.05", "--dry-run")
    assert "lower by 1 point, and" in run("start", "--model", "b", "--margin", "1", "--dry-run").replace("\n", " ")
    store(
        database_url,
        begun,
        0,
        success=facts(0.012, 0.034, 5.7, -3.0, 0.93, 0.95),
        latency=facts(-0.12, -0.05, -1.0, 4.0, 0.3, 0.27),
        comparison=COMPARISON,
    )
    said = run("show", begun)
    for sentence in (
        "running with 1.0% of the sessions, step 1 of 4",
        "waits for: time on this step, 0 seconds of 10 minutes",
        "waits for: loses less than 20 points of success, odds 1:1 of 1:20",
        "no daemon has looked after it yet: gateways send every session to control",
        "b is better than control by 1.2 to 3.4 points of success (95%; 18,240 outcomes in 4,610 sessions); this holds "
        "however often you look",
        "latency: b is faster than control by 5.0 to 12.0%, each request capped at 10 s",
        "requests a session: 4.00 of b, 3.91 of control",
        "left out, as the client went away: 5 of b, 3 of control",
        "too late to count: 7 records",
    ):
        assert sentence in said.replace("\n", " ")
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now()")
    assert "no daemon has looked" not in run("show", begun)
    (row,) = json.loads(run("list", "--json"))
    assert (row["treatment"], row["odds"], row["differs"]) == ("b", "1:149 against chance", None)
    assert row["result"].startswith("b is better than control by")


def test_a_promotion_by_hand_holds_where_asked(run: Run) -> None:
    begun = json.loads(run("start", "--model", "b", "--json"))["experiment"]["id"]
    said = run("promote", begun, "--hold").replace("\n", " ")
    assert f"{begun} is promoted, on hold in version 2 of the configuration: 95.0% of the sessions go to b" in said
    assert "and all in 24 hours where no guard is reached" in said
    shown = run("show", begun).replace("\n", " ")
    assert "promoted, on hold: 95.0% of the sessions go to b, once the sessions from before have ended" in shown
    assert "waits for: time of the hold, 0 seconds of 24 hours" in shown
    assert [each["condition"] for each in json.loads(run("show", begun, "--json"))["waits_for"]] == ["settled", "hold"]
    assert [each["share"] for each in json.loads(run("list", "--json"))] == [0.95]
    assert "every session of its scope goes to b" in run("promote", begun), "it ends the hold"
    assert [each["share"] for each in json.loads(run("list", "--all", "--json"))] == [1.0]


def test_many_experiments_are_marked_by_the_share_that_may_be_wrong(run: Run, database_url: str) -> None:
    for number, evidence in enumerate((7.0, 2.0, 0.0)):
        begun = json.loads(run("start", "--model", "b", "--name", f"x{number}", "--json"))["experiment"]["id"]
        store(database_url, begun, 0, success=facts(-0.01, 0.02, evidence, -9.0, 0.9, 0.9), comparison=COMPARISON)
    rows = json.loads(run("list", "--fdr", "0.1", "--json"))
    assert [(each["name"], each["differs"]) for each in rows] == [("x0", True), ("x1", False), ("x2", False)]
    table = run("list", "--fdr", "0.1")
    assert "differs" in table.splitlines()[0]
    assert "not decided" in table
    assert "expected a share above 0 and below 1" in run("list", "--fdr", "1", fails=True)


def test_a_roll_back_says_what_it_has_cost(run: Run, database_url: str) -> None:
    begun = json.loads(run("start", "--model", "b", "--json"))["experiment"]["id"]
    known = facts(-1, -0.1, -9.0, 6.0, 0.95, 0.6)
    known["treatment"] = {"outcomes": 38, "sum": 25.0, "mean": 25 / 38}
    store(database_url, begun, 0, success=known, comparison=COMPARISON)
    change = (
        "SELECT centralcloud.set_experiment_stage(config_version, experiment_id, body -> 'stage' || "
        """'{"status": "rolledBack", "share": 0, "reason": "fewer successes"}', 'centralcloud', 'daemon', 'x') """
        "FROM centralcloud.current_experiments()"
    )
    execute(database_url, change)
    said = run("show", begun).replace("\n", " ")
    assert "b against control: fewer successes; chance would look like this in less than 1 of 50 canaries" in said
    assert "38 requests were served by it, about 11 failed for it" in said
